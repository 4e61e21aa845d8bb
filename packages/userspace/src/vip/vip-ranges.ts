import { type Machine, refusalOf, runIp } from "@svcproxy/host";
import { type Cidr, familyOf, formatCidr, type Problem } from "@svcproxy/topology";
import type { LocalRange } from "./local-addresses.ts";
import { NONLOCAL_BIND, VIP_MARK } from "./vip-mark.ts";
import { leftBehind, notLocal } from "./vip-problems.ts";

export interface RangeChange {
  readonly wanted: readonly Cidr[];
  /** The local routes that are there, ours and others'. */
  readonly existing: readonly LocalRange[];
}

/** Makes each wanted range local by one route, unless someone's route does so already. @returns what could not be done */
export async function ensureRanges(machine: Machine, { wanted, existing }: RangeChange): Promise<Problem[]> {
  const problems: Problem[] = [];
  // Whether to put 0 back is decided once, before the first of our ranges sets it to 1.
  let bindWasOff = existing.some((local) => local.nonlocalBindWasOff);
  for (const range of wanted) {
    const isIpv6 = familyOf(range.address) === 6;
    const bindIsOff = isIpv6 && (await machine.readSysctl(NONLOCAL_BIND)) === "0";
    bindWasOff ||= bindIsOff;
    const isThere = existing.some((local) => formatCidr(local.range) === formatCidr(range));
    // The route comes first, because its metric remembers what the sysctl was.
    const route = { range, nonlocalBindWasOff: isIpv6 && bindWasOff };
    const added = isThere ? undefined : await runIp(machine, routeCommand("add", route));
    if (added !== undefined && added.kind !== "done") {
      problems.push(
        notLocal(subjectOf(range), `Cannot make the range ${formatCidr(range)} local: ${refusalOf(added).text}`),
      );
    } else if (bindIsOff && !(await machine.writeSysctl(NONLOCAL_BIND, "1"))) {
      if (!isThere) await runIp(machine, routeCommand("del", route));
      const reason = `this process may not set ${NONLOCAL_BIND}=1`;
      problems.push(notLocal(subjectOf(range), `Cannot use the range ${formatCidr(range)}: ${reason}`));
    }
  }
  return problems;
}

/** Takes away our routes that are not wanted, and sets the sysctl back with the last that needed it. */
export async function removeRanges(
  machine: Machine,
  { wanted, existing }: RangeChange,
): Promise<{ readonly removed: string[]; readonly left: Problem[] }> {
  const keep = new Set(wanted.map(formatCidr));
  const ours = existing.filter((local) => local.ours);
  const kept = ours.filter(({ range }) => keep.has(formatCidr(range)));
  const gone = ours.filter(({ range }) => !keep.has(formatCidr(range)));
  // The sysctl goes first: should we end between the two, the route still says what to put back.
  const putsBack = gone.some((local) => local.nonlocalBindWasOff) && !kept.some((local) => local.nonlocalBindWasOff);
  if (putsBack && !(await machine.writeSysctl(NONLOCAL_BIND, "0"))) {
    const text = `Cannot set ${NONLOCAL_BIND} back to 0: this process may not`;
    return { removed: [], left: [leftBehind(`sysctl ${NONLOCAL_BIND}`, text)] };
  }
  const removed: string[] = [];
  const left: Problem[] = [];
  for (const local of gone) {
    const outcome = await runIp(machine, routeCommand("del", local));
    const route = `route for ${formatCidr(local.range)}`;
    if (outcome.kind === "done") removed.push(route);
    else left.push(leftBehind(subjectOf(local.range), `Cannot remove the ${route}: ${refusalOf(outcome).text}`));
  }
  return { removed, left };
}

function subjectOf(range: Cidr): string {
  return `range ${formatCidr(range)}`;
}

function routeCommand(
  verb: "add" | "del",
  { range, nonlocalBindWasOff }: Pick<LocalRange, "range" | "nonlocalBindWasOff">,
): readonly string[] {
  const { nonlocalBindUntouched, nonlocalBindWasOff: wasOff } = VIP_MARK.routeMetric;
  const family = familyOf(range.address) === 6 ? "-6" : "-4";
  const mark = ["proto", VIP_MARK.routeProtocol, "metric", String(nonlocalBindWasOff ? wasOff : nonlocalBindUntouched)];
  return [family, "route", verb, "local", formatCidr(range), "dev", "lo", "table", "local", ...mark];
}
