import { isDeepStrictEqual } from "node:util";
import { type Difference, serviceName } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import { compileService } from "./policy/compile-service.ts";
import { type FrontendSpec, listens } from "./policy/frontend-spec.ts";

/** What a running proxy tells of what it serves; from another process it comes as JSON. */
export interface Served {
  readonly frontends: readonly FrontendSpec[];
  /** Keys of those that have a listener. */
  readonly listening: readonly string[];
}

/** How what is served differs from a plan, by meaning. */
export function compareServed({ ports }: Pick<HostPlan, "ports">, served: Served): readonly Difference[] {
  const wanted = new Map<string, FrontendSpec>();
  for (const ofService of Map.groupBy(ports, serviceName).values()) {
    for (const spec of compileService(ofService).frontends) if (!wanted.has(spec.key)) wanted.set(spec.key, spec);
  }
  const found = new Map(served.frontends.map((spec) => [spec.key, spec]));
  const listening = new Set(served.listening);
  const differences: Difference[] = [];
  for (const [key, spec] of wanted) {
    const there = found.get(key);
    const of = `${key} of ${spec.service}`;
    if (there === undefined) {
      differences.push({ kind: "missing-frontend", place: key, text: `${of} is not served` });
    } else if (!isDeepStrictEqual(asJson(there), asJson(spec))) {
      differences.push({ kind: "changed-frontend", place: key, text: `${of} is served otherwise than planned` });
    } else if (listens(spec) !== listening.has(key)) {
      const text = listens(spec) ? `nobody listens on ${of}` : `${of} is to refuse, and somebody listens`;
      differences.push({ kind: "not-listening", place: key, text });
    }
  }
  for (const [key, { service }] of found) {
    if (wanted.has(key) || !listening.has(key)) continue;
    differences.push({ kind: "extra-frontend", place: key, text: `${key} of ${service} is served and not planned` });
  }
  return differences;
}

/** Whether what a running proxy answered is of the kind that this version can compare. */
export function isServed(value: unknown): value is Served {
  if (typeof value !== "object" || value === null || !("frontends" in value) || !("listening" in value)) return false;
  return Array.isArray(value.frontends) && Array.isArray(value.listening);
}

function asJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
