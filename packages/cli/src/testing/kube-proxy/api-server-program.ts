import { readFileSync } from "node:fs";
import process from "node:process";
import { TestApiServer } from "@svcproxy/agent/testing";

/** Serves the objects of a file on 127.0.0.1:8080 of the network namespace that it was started in, until it is killed. */
const [file = ""] = process.argv.slice(2);
const server = await TestApiServer.start({ port: 8080 });
for (const object of JSON.parse(readFileSync(file, "utf8")).items) server.store.put(object);
