import process from "node:process";
import { configureGlobal } from "fast-check";

// vitest's set-up of every test file: properties start from the seed of the run, where it has one, as the other random tests do.
const seed = process.env["SVCPROXY_SEED"];
if (seed !== undefined) configureGlobal({ seed: Number(seed) });
