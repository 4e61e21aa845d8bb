import { type Census, EMPTY_CENSUS } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { expect, onTestFinished, test, vi } from "vitest";
import { censusFromNow } from "./read-census.ts";

const { signal } = new AbortController();

test("what is there is looked at from now on, once; whoever asks late has it looked at anew", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const looks: Census[] = [];
  const census = async () => {
    const found = { ...EMPTY_CENSUS, vips: new Set([`10.0.0.${looks.length}`]) };
    looks.push(found);
    return found;
  };
  const read = censusFromNow([{ census }], { signal });
  expect(looks).toHaveLength(1);
  vi.advanceTimersByTime(4_000);
  expect(await Promise.all([read(), read()])).toEqual([looks[0], looks[0]]);
  vi.advanceTimersByTime(4_000);
  expect([await read(), looks.length]).toEqual([looks[1], 2]);
});

test("what cannot be looked at does not count; a bug is told whoever asks, and nobody else", async () => {
  const fails = (error: Error) => ({ census: () => Promise.reject(error) });
  const vips = new Set(["10.0.0.1"]);
  const works = { census: async () => ({ ...EMPTY_CENSUS, vips }) };
  const missing = fails(new EnvironmentError("MISSING_TOOL", "There is no nft"));
  expect(await censusFromNow([missing, works], { signal })()).toEqual({ ...EMPTY_CENSUS, vips });
  const bug = new TypeError("a bug");
  const read = censusFromNow([fails(bug)], { signal });
  await new Promise((turn) => setImmediate(turn));
  await expect(read()).rejects.toBe(bug);
});
