import * as z from "zod/mini";
import { topologyFile } from "./topology-file.ts";

/** The text of topology.schema.json (JSON Schema 2020-12), made from the zod source; `pnpm schema` writes it, a test compares it. */
export function renderTopologySchema(): string {
  const schema = { $id: "svcproxy-topology", title: "svcproxy topology", ...z.toJSONSchema(topologyFile) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
