import { MissingTool, type ToolRunner } from "@svcproxy/host";
import { LEASE } from "../compile/lease.ts";
import { tableName } from "../table/format-table.ts";

const UNIT_SECONDS: Readonly<Record<string, number>> = { d: 86_400, h: 3_600, m: 60, s: 1, ms: 0.001 };

/**
 * For how long the tables here answer that an agent keeps, or left behind.
 *
 * @returns seconds, 0 where that is over; undefined where there is none, or this user may not look
 */
export async function readLease(
  run: ToolRunner,
  { signal }: { readonly signal: AbortSignal },
): Promise<number | undefined> {
  const rests: number[] = [];
  for (const family of [4, 6] as const) {
    try {
      const { exitCode, stdout } = await run("nft", ["list", "set", ...tableName(family).split(" "), LEASE], {
        signal,
      });
      if (exitCode === 0)
        rests.push(0, ...[...stdout.matchAll(/expires (\w+)/g)].map(([, text = ""]) => secondsOf(text)));
    } catch (error) {
      if (error instanceof MissingTool) return undefined;
      throw error;
    }
  }
  return rests.length === 0 ? undefined : Math.max(...rests);
}

/** `6d23h59m58s996ms` */
function secondsOf(text: string): number {
  return [...text.matchAll(/(\d+)(ms|[dhms])/g)].reduce(
    (sum, [, number, unit = ""]) => sum + Number(number) * (UNIT_SECONDS[unit] ?? 0),
    0,
  );
}
