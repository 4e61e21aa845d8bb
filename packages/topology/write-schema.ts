import { writeFileSync } from "node:fs";
import { renderTopologySchema } from "./src/render-topology-schema.ts";

writeFileSync(new URL("src/topology.schema.json", import.meta.url), renderTopologySchema());
