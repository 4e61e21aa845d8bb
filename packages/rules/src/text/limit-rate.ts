/** xt_limit counts in ten-thousandths of a second. */
const SCALE = 10_000;

/** Seconds of each unit, the longest first, as libxt_limit prints them. */
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["min", 60],
  ["sec", 1],
] as const;

/** Ten-thousandths of a second between two packets, as the kernel keeps a rate; undefined where the text is none. */
export function limitPeriod(text: string): number | undefined {
  const [count = "", unit = "second", ...rest] = text.split("/");
  const names: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3_600, day: 86_400 };
  const seconds = Object.entries(names).find(([name]) => unit !== "" && name.startsWith(unit.toLowerCase()))?.[1];
  if (seconds === undefined || rest.length > 0 || !/^[1-9]\d*$/.test(count)) return undefined;
  const period = Math.floor((SCALE * seconds) / Number(count));
  return period === 0 ? undefined : period;
}

/** A rate as iptables-save prints it: in the longest unit that tells it without a rest. */
export function readLimitRate(text: string): string | undefined {
  const period = limitPeriod(text);
  if (period === undefined) return undefined;
  let unit: (typeof UNITS)[number] = UNITS[0];
  for (const next of UNITS.slice(1)) {
    const ticks = next[1] * SCALE;
    if (period > ticks || Math.floor(ticks / period) < ticks % period) break;
    unit = next;
  }
  return `${Math.floor((unit[1] * SCALE) / period)}/${unit[0]}`;
}
