import { buildHosts } from "./build-hosts.ts";
import { buildNodeSettings } from "./build-node-settings.ts";
import { buildServices } from "./build-services.ts";
import { checkServices } from "./check-services.ts";
import { checkShape } from "./check-shape.ts";
import { FaultReport } from "./fault-report.ts";
import { finishReading, type ParsedTopology } from "./finish-reading.ts";
import type { LoadedDocuments } from "./load-documents.ts";
import { loadInput } from "./load-input.ts";
import type { Topology } from "./model.ts";
import { DEFAULT_NODE_SETTINGS } from "./model.ts";
import type { RawTopology } from "./raw-topology.ts";
import type { SourceDocument } from "./source-document.ts";
import { Spot } from "./spot.ts";
import { topologySchema } from "./topology-schema.ts";
import { ValueReader } from "./value-reader.ts";

/**
 * Reads a topology file, YAML or JSON.
 *
 * @throws InputError with every fault of the file, each with its line and column
 */
export function parseTopology(bytes: Uint8Array, { file }: { readonly file: string }): ParsedTopology {
  return readTopologyDocuments(loadInput([{ file, bytes }]));
}

/** The same, of what was loaded already. */
export function readTopologyDocuments({ documents, faults }: LoadedDocuments): ParsedTopology {
  const report = new FaultReport();
  const [topology] = documents.map((document, index) => {
    if (index === 0) return buildTopology(document, report);
    const hint = "Put hosts and services into one document of one file, without `---` between them";
    report.error("SEVERAL_DOCUMENTS", { document, path: [] }, "A topology is one document, and this is another", hint);
    return undefined;
  });
  if (topology === undefined) throw new TypeError("there is no document to read");
  return { topology, warnings: finishReading(report, faults) };
}

/** Reads one document; what it cannot read goes into the report and is missing from the topology. */
export function buildTopology(document: SourceDocument, report: FaultReport): Topology {
  const shaped = checkShape(topologySchema, { document, report });
  // The cast is what checkShape promises of the schema that topologyFile was printed to.
  const raw = (shaped ?? {}) as RawTopology;
  const reader = new ValueReader(document, report);
  const directory = buildHosts(raw.hosts ?? [], reader);
  const services = buildServices(raw.services, { reader, directory });
  checkServices(services, { reader, directory });
  return {
    source: "topology",
    hosts: directory.hosts,
    services: services.map(({ service }) => service),
    node:
      raw.node === undefined
        ? DEFAULT_NODE_SETTINGS
        : buildNodeSettings(raw.node, { reader, spot: Spot.root("the node settings").at("node") }),
  };
}
