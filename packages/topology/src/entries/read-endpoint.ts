import type { IpAddress, Port } from "../address.ts";
import type { Fault } from "../errors.ts";
import { NO_HINTS } from "../file/build-hosts.ts";
import { checkShape, type JsonSchema } from "../file/check-shape.ts";
import type { EndpointConditions, EndpointHints } from "../model.ts";
import { SubjectPath } from "../subject-path.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading } from "../text/finish-reading.ts";
import { ValueReader } from "../value-reader.ts";
import type { LoadedEntry } from "./load-entry.ts";

/** Something that serves a service and says so itself: the value of `endpoints/NAMESPACE/SERVICE/ID`. */
export interface RegisteredEndpoint extends EndpointConditions {
  readonly namespace: string;
  readonly service: string;
  readonly id: string;
  readonly address: IpAddress;
  /** Used where the service's port has no `targetPort`. */
  readonly port?: Port;
  /** The host that runs it, where its address does not say. */
  readonly host?: string;
  readonly hints: EndpointHints;
}

const FLAG: JsonSchema = { type: "boolean" };
const NAMES: JsonSchema = { type: "array", items: { type: "string", minLength: 1 } };

/** As of a pod in the topology file. */
const SHAPE: JsonSchema = {
  type: "object",
  properties: {
    address: { type: "string", minLength: 1 },
    host: { type: "string", minLength: 1 },
    ready: FLAG,
    serving: FLAG,
    terminating: FLAG,
    hints: { type: "object", properties: { forZones: NAMES, forNodes: NAMES } },
  },
  required: ["address"],
};

/** What is left once the shape was checked. */
interface RawEndpoint {
  readonly address?: string;
  readonly host?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly hints?: { readonly forZones?: readonly string[]; readonly forNodes?: readonly string[] };
}

/** @throws InputError with every fault and its place */
export function readRegisteredEndpoint(entry: LoadedEntry): {
  readonly endpoint: RegisteredEndpoint;
  readonly warnings: readonly Fault[];
} {
  const { key, document } = entry;
  if (key.kind !== "endpoint") throw new TypeError("it is another kind of entry");
  const report = new FaultReport();
  // The cast is what checkShape promises of SHAPE.
  const raw = (checkShape(SHAPE, { document, report }) ?? {}) as RawEndpoint;
  const reader = new ValueReader(document, report);
  const where = SubjectPath.root(`endpoint ${JSON.stringify(key.id)}`).at("address");
  const read = raw.address === undefined ? undefined : reader.podAddress(raw.address, where);
  if (read !== undefined) reader.judge(read.address, "endpoint", where);
  const warnings = finishReading(report);
  if (read === undefined) throw new TypeError("an address that cannot be read is an error");
  const { namespace, service, id } = key;
  const { host, ready = true, serving = true, terminating = false, hints } = raw;
  return {
    warnings,
    endpoint: {
      ...{ namespace, service, id, ...read, ready, serving, terminating },
      ...(host === undefined ? {} : { host }),
      hints:
        hints === undefined ? NO_HINTS : { zones: [...(hints.forZones ?? [])], nodes: [...(hints.forNodes ?? [])] },
    },
  };
}
