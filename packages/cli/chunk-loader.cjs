"use strict";
// The head of the published file: finds the chunks that follow it as comments, and compiles the ones that are asked for.
const fs = require("node:fs");
const Module = require("node:module");

globalThis.nodeRequire = require;
globalThis.bundleUrl = `file://${encodeURI(__filename)}`;

const loaded = new Map();
const chunks = new Map(
  fs
    .readFileSync(__filename, "utf8")
    .split("\n/*chunk ")
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf("\n")), part]),
);

useCompileCache();
loadChunk("./main.cjs");

function loadChunk(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const chunk = chunks.get(name);
  if (chunk === undefined) return require(name);
  const part = new Module(`${__filename}/${name.slice(2)}`, module);
  loaded.set(name, part);
  part.require = loadChunk;
  part._compile(chunk.slice(chunk.indexOf("\n") + 1, chunk.lastIndexOf("*/")).replaceAll("*\0/", "*/"), part.id);
  return part.exports;
}

/**
 * Compiled code is kept between runs, in a folder that nobody else can write to: Node's own choice lies in /tmp, where
 * another user could leave code for root to run.
 */
function useCompileCache() {
  const { HOME: home, XDG_CACHE_HOME: cache = home && `${home}/.cache` } = process.env;
  if (!cache?.startsWith("/") || Module.enableCompileCache === undefined) return;
  const folder = `${cache}/svcproxy`;
  try {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = fs.statSync(folder);
    if (uid === process.geteuid() && (mode & 0o022) === 0) Module.enableCompileCache(folder);
  } catch {
    // no home, or a read-only one: start without
  }
}
