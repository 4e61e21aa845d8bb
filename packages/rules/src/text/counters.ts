import type { Counters } from "../rule-set.ts";

/** Reads `[packets:bytes]`; undefined where the text is none. */
export function readCounters(text: string): Counters | undefined {
  const parts = /^\[(\d+):(\d+)\]$/.exec(text);
  return parts === null ? undefined : { packets: BigInt(parts[1] ?? 0), bytes: BigInt(parts[2] ?? 0) };
}

export function formatCounters(counters: Counters | undefined): string {
  return counters === undefined ? "[0:0]" : `[${counters.packets}:${counters.bytes}]`;
}
