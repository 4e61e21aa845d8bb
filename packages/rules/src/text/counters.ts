import type { Counters } from "../rule-set.ts";

const NO_COUNTERS: Counters = { packets: 0n, bytes: 0n };

/** Reads `[packets:bytes]`; undefined where the text is none. */
export function readCounters(text: string): Counters | undefined {
  if (text === "[0:0]") return NO_COUNTERS;
  const parts = /^\[(\d+):(\d+)\]$/.exec(text);
  return parts === null ? undefined : { packets: BigInt(parts[1] ?? 0), bytes: BigInt(parts[2] ?? 0) };
}

export function formatCounters(counters: Counters | undefined): string {
  return counters === undefined ? "[0:0]" : `[${counters.packets}:${counters.bytes}]`;
}
