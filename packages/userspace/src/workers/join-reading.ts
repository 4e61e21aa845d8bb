import type { ReadingPart, WorkerReading } from "./worker-reports.ts";

/** @param parts of one reading, all of them */
export function joinReading(parts: readonly ReadingPart[]): WorkerReading {
  const facts = parts.find((part) => part.kind === "facts")?.facts;
  if (facts === undefined) throw new TypeError("a reading without its facts");
  return {
    ...facts,
    frontends: parts.flatMap((part) => (part.kind === "frontends" ? part.frontends : [])),
    endpoints: parts.flatMap((part) => (part.kind === "endpoints" ? part.endpoints : [])),
  };
}
