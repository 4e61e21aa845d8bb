import { type IpRefusal, type Machine, runIpBatch } from "@svcproxy/host";
import { type Family, familyOf, type Problem } from "@svcproxy/topology";
import { EXEMPTION, type Isolation, type IsolationScope, isolationOf, PREFERENCE } from "./isolation.ts";
import { readLocalAddresses } from "./local-addresses.ts";
import { hasIsolation, type IsolationInKernel, isInForce, readIsolation } from "./read-isolation.ts";
import { leftBehind } from "./vip-problems.ts";

const FAMILIES: readonly Family[] = [4, 6];

/**
 * Lets clients of VIPs reach the services' ports alone, by policy rules.
 *
 * The kernel asks rules in the order of their preferences, and its own one for local addresses stands at 0, before all others. So that one
 * is added a second time at 100 before it is taken away at 0, and the other way round at the end: it is there at every moment, whenever we are killed.
 * It keeps the kernel's own protocol number: programs that tidy up foreign rules, as systemd-networkd does, then leave it alone.
 *
 * @param exemptsHost what this host sends passes the rules by until `endExemption`: for VIPs that are not local yet
 * @returns why VIPs are not isolated, by family; empty where they are
 */
export async function ensureIsolation(
  machine: Machine,
  scope: IsolationScope,
  { exemptsHost }: { readonly exemptsHost: boolean },
): Promise<ReadonlyMap<Family, string>> {
  const reasons = new Map<Family, string>();
  for (const family of FAMILIES) {
    const wanted = isolationOf(family, scope);
    if (wanted === undefined) continue;
    const reason = await ensureFamily(machine, family, exemptsHost ? exempting(wanted) : wanted);
    if (reason !== undefined) reasons.set(family, reason);
  }
  return reasons;
}

function exempting({ routes, rules }: Isolation): Isolation {
  return { routes, rules: [EXEMPTION, ...rules] };
}

/** From now on this host's own packets meet the rules as well: the VIPs are local. */
export async function endExemption(machine: Machine): Promise<void> {
  for (const family of FAMILIES) {
    const now = await readIsolation(machine, family);
    // What cannot be taken away now is taken away by `retainIsolation`.
    if ("rules" in now && now.rules.has(EXEMPTION)) await refusalsOf(machine, family, [`rule del ${EXEMPTION}`]);
  }
}

async function ensureFamily(machine: Machine, family: Family, wanted: Isolation): Promise<string | undefined> {
  const now = await readIsolation(machine, family);
  if ("reason" in now) return now.reason;
  const obstacle = whatIsInTheWay(now);
  if (obstacle !== undefined) return obstacle;
  const commands = [
    ...(now.localAt.includes(PREFERENCE.local) ? [] : [`rule add ${localRule(PREFERENCE.local)}`]),
    ...wanted.routes.filter((route) => !now.routes.has(route)).map((route) => `route add ${route}`),
    ...wanted.rules.filter((rule) => !now.rules.has(rule)).map((rule) => `rule add ${rule}`),
  ];
  const [refusal] = await refusalsOf(machine, family, commands);
  if (refusal !== undefined) {
    // What was in force before stays as it was; a first attempt is taken back.
    if (!isInForce(now)) await removeFamily(machine, family);
    return refusal.text;
  }
  if (!now.localAt.includes(0)) return undefined;
  const [kept] = await refusalsOf(machine, family, ["rule del pref 0 lookup local"]);
  return kept?.text;
}

function whatIsInTheWay(now: IsolationInKernel): string | undefined {
  const earlier = now.localAt.find((preference) => preference > 0 && preference < PREFERENCE.local);
  if (earlier !== undefined) return `another program looks up local addresses first, by its rule ${earlier}`;
  const isMovedByAnother = !now.localAt.includes(0) && !(now.localAt.includes(PREFERENCE.local) && hasIsolation(now));
  return isMovedByAnother ? "another program has moved the host's own rule for local addresses" : undefined;
}

/** Why VIPs would not be isolated here, or are not although they are local, by family; empty where they are or could be. */
export async function isolationObstacles(machine: Machine): Promise<ReadonlyMap<Family, string>> {
  const { addresses } = await readLocalAddresses(machine);
  const obstacles = new Map<Family, string>();
  for (const family of FAMILIES) {
    const now = await readIsolation(machine, family);
    const hasVips = addresses.some(({ ours, address }) => ours && familyOf(address) === family);
    const missing = hasVips ? "the proxy that made them local did not do it" : undefined;
    const obstacle = "reason" in now ? now.reason : (whatIsInTheWay(now) ?? (isInForce(now) ? undefined : missing));
    if (obstacle !== undefined) obstacles.set(family, obstacle);
  }
  return obstacles;
}

/** Rules and routes that should isolate these VIPs and are not there, in the words of `ip`. */
export async function missingIsolation(
  machine: Machine,
  { family, scope }: { readonly family: Family; readonly scope: IsolationScope },
): Promise<readonly string[]> {
  const wanted = isolationOf(family, scope);
  const now = await readIsolation(machine, family);
  if (wanted === undefined || "reason" in now) return [];
  return [
    ...wanted.rules.filter((rule) => !now.rules.has(rule)).map((rule) => `rule ${rule}`),
    ...wanted.routes.filter((route) => !now.routes.has(route)).map((route) => `route ${route}`),
    ...(isInForce(now) ? [] : [`rule ${localRule(PREFERENCE.local)}`]),
  ];
}

export interface IsolationRemoval {
  /** For people; empty where nothing went as a whole. */
  readonly removed: readonly string[];
  readonly left: readonly Problem[];
}

/** Takes away what of ours `scope` does not need; with nothing to isolate the host's own rule is put back in its place. */
export async function retainIsolation(machine: Machine, scope: IsolationScope): Promise<IsolationRemoval> {
  const removed: string[] = [];
  const left: Problem[] = [];
  for (const family of FAMILIES) {
    const wanted = isolationOf(family, scope);
    if (wanted === undefined) {
      const problems = await removeFamily(machine, family);
      if (problems?.length === 0) removed.push(`the IPv${family} rules that isolated VIPs`);
      left.push(...(problems ?? []));
    } else {
      const now = await readIsolation(machine, family);
      if ("reason" in now) continue;
      const rules = [...now.rules].filter((rule) => !wanted.rules.includes(rule));
      const routes = new Set(wanted.routes);
      const stale = [
        ...rules.map((rule) => `rule del ${rule}`),
        ...[...now.routes].filter((route) => !routes.has(route)).map((route) => `route del ${route}`),
      ];
      left.push(...(await refusalsOf(machine, family, stale)).map(problemOf));
    }
  }
  return { removed, left };
}

/** @returns what could not be done; undefined: there was nothing */
async function removeFamily(machine: Machine, family: Family): Promise<readonly Problem[] | undefined> {
  const now = await readIsolation(machine, family);
  if ("reason" in now || !hasIsolation(now)) return undefined;
  const isMoved = now.localAt.includes(PREFERENCE.local);
  // Whoever else moved it has it somewhere else.
  const isElsewhere = now.localAt.some((preference) => preference !== PREFERENCE.local);
  if (isMoved && !isElsewhere) {
    const refusals = await refusalsOf(machine, family, [`rule add ${localRule(0)}`]);
    if (refusals.length > 0) return refusals.map(problemOf);
  }
  // The host's own one goes before the last of ours, which says that it is ours to remove.
  const refusals = await refusalsOf(machine, family, [
    ...[...now.rules].map((rule) => `rule del ${rule}`),
    ...(isMoved ? [`rule del pref ${PREFERENCE.local} lookup local`] : []),
    ...[...now.routes].map((route) => `route del ${route}`),
  ]);
  return refusals.map(problemOf);
}

function localRule(preference: number): string {
  return `pref ${preference} lookup local protocol kernel`;
}

/** Without those that say that it is done already. */
async function refusalsOf(
  machine: Machine,
  family: Family,
  commands: readonly string[],
): Promise<readonly IpRefusal[]> {
  const refusals = await runIpBatch(machine, commands, { family });
  return [...refusals.values()].filter(({ text }) => !/file exists|no such (file|process)/i.test(text));
}

function problemOf({ text }: IpRefusal): Problem {
  return leftBehind("VIP isolation", `Cannot take away the rules that isolate VIPs: ${text}`);
}
