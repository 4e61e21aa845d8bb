import { writeFileSync } from "node:fs";
import { renderTopologySchema } from "./src/file/topology-file.ts";

writeFileSync(new URL("src/file/topology.schema.json", import.meta.url), renderTopologySchema());
