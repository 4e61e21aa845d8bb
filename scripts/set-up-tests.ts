import process from "node:process";
import { configureGlobal } from "fast-check";
import { vi } from "vitest";

// vitest runs this before each test file.

// Properties start from the seed of the run, where it has one, as the other random tests do.
const seed = process.env["SVCPROXY_SEED"];
if (seed !== undefined) configureGlobal({ seed: Number(seed) });

/** What a test waits for comes at once on a quiet machine, and on a busy one when it comes: vitest's one second is none of the two. */
const PATIENCE = { timeout: 30_000, interval: 20 };

const { waitFor, waitUntil } = vi;
vi.waitFor = (callback, options) => waitFor(callback, patient(options));
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options));

function patient(options: number | { timeout?: number; interval?: number } | undefined) {
  return { ...PATIENCE, ...(typeof options === "number" ? { timeout: options } : options) };
}
