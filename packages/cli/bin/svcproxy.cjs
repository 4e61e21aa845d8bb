#!/usr/bin/env node
"use strict";
// Written so that Node.js 12 reads it: an old Node then says what is missing, and does not stumble over the syntax of the rest.

/** The same as `engines` in package.json. */
const NEEDED = [22, 12];

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `svcproxy: needs Node.js ${NEEDED.join(".")} or newer, but ${process.execPath} is ${process.version}\n`,
  );
  process.exit(1);
}
const fs = require("node:fs");
const folder = ownCacheFolder();
if (folder !== undefined && require("node:module").enableCompileCache(folder).directory !== undefined)
  compileOwnFilesWhole();
require("../dist/main.cjs");

/**
 * Where Node keeps compiled code between runs: a folder that only this user can write to, because code that somebody else left
 * there would run. Undefined where there is none: no home, a read-only one, or a folder of another user.
 */
function ownCacheFolder() {
  const uid = process.geteuid();
  const { HOME, XDG_CACHE_HOME } = process.env;
  // Not root's $XDG_CACHE_HOME: under sudo it may be the user's.
  const parent = uid === 0 ? "/var/cache" : XDG_CACHE_HOME || `${HOME}/.cache`;
  if (!parent.startsWith("/")) return undefined;
  const own = `${parent}/svcproxy`;
  try {
    if (!fs.existsSync(own)) fs.mkdirSync(own, { recursive: true, mode: 0o700 });
    const found = fs.lstatSync(own);
    return found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0 ? own : undefined;
  } catch (_error) {
    return undefined;
  }
}

/**
 * The cache keeps what is compiled when a file is loaded; without this, functions are compiled at their first call, in every run. Node's own
 * modules come compiled, but V8 takes that only under the flags that Node was built with: under others, loading `crypto` takes 10 ms.
 */
function compileOwnFilesWhole() {
  const { setFlagsFromString } = require("node:v8");
  const { isBuiltin, prototype } = require("node:module");
  const load = prototype.require;
  let compilesWhole = false;
  const switchTo = (whole) => {
    if (whole !== compilesWhole) setFlagsFromString(whole ? "--no-lazy" : "--lazy");
    compilesWhole = whole;
  };
  prototype.require = function (id) {
    const before = compilesWhole;
    switchTo(!isBuiltin(id));
    try {
      return load.call(this, id);
    } finally {
      switchTo(before);
    }
  };
}
