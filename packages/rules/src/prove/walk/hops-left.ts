/**
 * How many hops are left to a packet of which only is known what rules did to its TTL.
 *
 * @param ttl what was done to it, the latest last: ` set 1`, ` dec 60 inc 2`
 * @returns `enough` where no rule took any of what it came with; undefined where that is not known
 */
export function hopsLeft(ttl: string): number | "enough" | undefined {
  let left: number | "enough" | undefined = "enough";
  // Hardly any rules do anything to it.
  if (ttl === "") return left;
  for (const [, change, text] of ttl.matchAll(/(set|inc|dec) (\d+|\?)/g)) {
    const value = text === "?" ? undefined : Number(text);
    if (change === "set") left = value;
    else if (left === undefined || value === undefined) left = undefined;
    else if (change === "inc") left = left === "enough" ? left : Math.min(255, left + value);
    else if (value > 0) left = left === "enough" ? undefined : Math.max(0, left - value);
  }
  return left;
}
