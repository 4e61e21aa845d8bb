import type { JsonSchema } from "./check-shape.ts";
import schema from "./topology.schema.json" with { type: "json" };

/** JSON Schema (2020-12) of the topology file, as `svcproxy schema` prints it and editors take it. */
export const topologySchema: JsonSchema = schema;
