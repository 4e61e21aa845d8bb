"use strict";
// The head of the published file: finds the chunks in the comment that follows it, and runs the ones that are asked for.
const fs = require("node:fs");
const { Script } = require("node:vm");

globalThis.nodeRequire = require;
globalThis.bundleUrl = `file://${encodeURI(__filename)}`;

/** Start and length of each chunk, in bytes from the end of the file. */
const CHUNKS = {};
/** Changes with the chunks. */
const BUILD = "";
const file = fs.openSync(__filename);
const { size } = fs.fstatSync(file);
const loaded = new Map();

const codeFile = findCodeFile();
const kept = readCode();
process.on("exit", keepCode);
loadChunk("./main.cjs");

function loadChunk(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.module.exports;
  if (!Object.hasOwn(CHUNKS, name)) return require(name);
  const script = new Script(readChunk(name), {
    filename: `${__filename}/${name.slice(2)}`,
    cachedData: kept.get(name),
  });
  if (script.cachedDataRejected) kept.delete(name);
  const module = { exports: {} };
  loaded.set(name, { module, script });
  script.runInThisContext()(module.exports, loadChunk, module, __filename, __dirname);
  return module.exports;
}

function readChunk(name) {
  const [fromEnd, length] = CHUNKS[name];
  const code = Buffer.allocUnsafe(length);
  fs.readSync(file, code, 0, length, size - fromEnd);
  return code.latin1Slice().replaceAll("*\0/", "*/");
}

/** Where the compiled code of this command is kept between runs; undefined where there is no place for it. */
function findCodeFile() {
  const { HOME: home, XDG_CACHE_HOME: cache = home && `${home}/.cache` } = process.env;
  if (!cache?.startsWith("/")) return undefined;
  const command = /[a-z]+(-[a-z]+)?/.exec(process.argv[2] ?? "")?.[0].slice(0, 16) ?? "help";
  const name = `${command}.${BUILD}.${process.version}-${process.arch}`;
  return { cache, folder: `${cache}/svcproxy`, command, name };
}

/** Whether nobody else can write to it, who could leave code there for root to run. */
function isOurs(folder) {
  const { uid, mode } = fs.statSync(folder);
  return uid === process.geteuid() && (mode & 0o022) === 0;
}

/** The compiled code of each chunk; empty where none is kept. The first line of the file has the length of each. */
function readCode() {
  const codes = new Map();
  if (codeFile === undefined) return codes;
  const { folder, name } = codeFile;
  try {
    if (!isOurs(folder)) return codes;
    const bytes = fs.readFileSync(`${folder}/${name}`);
    let start = bytes.indexOf("\n") + 1;
    for (const [chunk, length] of JSON.parse(bytes.latin1Slice(0, start))) {
      codes.set(chunk, bytes.subarray(start, start + length));
      start += length;
    }
  } catch {
    // the first run
  }
  return codes;
}

/**
 * Keeps what a good run has compiled, once it was something new. At the end, and not by Node's own compile cache, which
 * keeps what is compiled at the start: of a short command's time, a third went into compiling functions on their first call.
 */
function keepCode(exitCode) {
  if (codeFile === undefined || exitCode !== 0 || [...loaded.keys()].every((name) => kept.has(name))) return;
  const { cache, folder, command, name } = codeFile;
  try {
    for (const path of [cache, folder]) if (!fs.existsSync(path)) fs.mkdirSync(path, 0o700);
    if (!isOurs(folder)) return;
    for (const [chunk, { script }] of loaded) kept.set(chunk, script.createCachedData());
    const lengths = [...kept].map(([chunk, { length }]) => [chunk, length]);
    const written = `${folder}/${name}.${process.pid}`;
    const text = `${JSON.stringify(lengths)}\n`;
    // On the disk before it has its name: V8 believes what it reads.
    fs.writeFileSync(written, Buffer.concat([Buffer.from(text), ...kept.values()]), { mode: 0o600, flush: true });
    fs.renameSync(written, `${folder}/${name}`);
    // Of other builds, other Nodes, and whoever was killed while writing.
    for (const other of fs.readdirSync(folder)) {
      if (other.startsWith(`${command}.`) && other !== name) fs.unlinkSync(`${folder}/${other}`);
    }
  } catch {
    // no home, a read-only one or a full disk: the next run compiles again
  }
}
