"use strict";
// The head of the published file: finds the chunks in the comment that follows it, and compiles the ones that are asked for.
const fs = require("node:fs");
const Module = require("node:module");

globalThis.nodeRequire = require;
globalThis.bundleUrl = `file://${encodeURI(__filename)}`;

/** Start and length of each chunk, in bytes from the end of the file. */
const CHUNKS = {};
const file = fs.openSync(__filename);
const { size } = fs.fstatSync(file);
const loaded = new Map();

useCompileCache();
loadChunk("./main.cjs");

function loadChunk(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  if (!Object.hasOwn(CHUNKS, name)) return require(name);
  const [fromEnd, length] = CHUNKS[name];
  const code = Buffer.allocUnsafe(length);
  fs.readSync(file, code, 0, length, size - fromEnd);
  const part = new Module(`${__filename}/${name.slice(2)}`, module);
  loaded.set(name, part);
  part.require = loadChunk;
  part._compile(code.latin1Slice().replaceAll("*\0/", "*/"), part.id);
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
    for (const path of [cache, folder]) if (!fs.existsSync(path)) fs.mkdirSync(path, 0o700);
    const { uid, mode } = fs.statSync(folder);
    if (uid === process.geteuid() && (mode & 0o022) === 0) Module.enableCompileCache(folder);
  } catch {
    // no home, or a read-only one: start without
  }
}
