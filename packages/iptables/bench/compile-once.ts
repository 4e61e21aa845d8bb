/** Seconds from a topology that has been read to restore text, compiled once in a fresh process. Arguments: TOPOLOGY DIALECT */
import { readFileSync } from "node:fs";
import process from "node:process";
import { LARGE_HOST } from "@svcproxy/host/testing";
import { parseTopology, planHost } from "@svcproxy/topology";
import { compileScript, formatRestoreScript } from "../src/index.ts";

const [file = "", dialect = ""] = process.argv.slice(2);
if (dialect !== "document" && dialect !== "kubernetes") throw new TypeError(`no dialect: ${dialect}`);
const { topology } = parseTopology(readFileSync(file), { file });
const start = performance.now();
let length = 0;
const script = compileScript(planHost(topology, { host: LARGE_HOST }), { dialect, family: 4 });
for (const piece of formatRestoreScript(script)) length += Buffer.from(piece).length;
if (length === 0) throw new TypeError("no text");
console.log((performance.now() - start) / 1000);
