import { readFileSync } from "node:fs";
import process from "node:process";
import { createApiServer } from "./api-server.ts";

/** Serves the objects of a file on 127.0.0.1:8080 of the network namespace that it was started in, until it is killed. */
const [file = ""] = process.argv.slice(2);
createApiServer(JSON.parse(readFileSync(file, "utf8")).items).server.listen(8080, "127.0.0.1");
