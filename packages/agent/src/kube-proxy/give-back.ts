import { setTimeout as delay } from "node:timers/promises";
import { type DataPath, EMPTY_CENSUS, joinCensuses, type Machine } from "@svcproxy/host";
import { EnvironmentError, listNames, problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";
import { findKubeProxyRules, type KubeProxyRules, releaseToKubeProxy } from "./kube-proxy-rules.ts";
import { hasKubeProxySynced } from "./kube-proxy-signs.ts";
import { missingAtKubeProxy } from "./missing-at-kube-proxy.ts";

export interface GiveBackOptions {
  readonly machine: Machine;
  /** All that may have something of ours here. */
  readonly dataPaths: readonly DataPath[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Default 1 s. */
  readonly lookMs?: number;
  /** VIPs that a kube-proxy which has written its rules does not serve are given up after this. Default 15 s. */
  readonly lostAfterMs?: number;
}

const LOOK_MS = 1_000;
const LOST_AFTER_MS = 15_000;
/** One that tells nobody how it stands is given so long from its first rule on. */
const SETTLED_MS = 5_000;

/**
 * Gives a host back to its kube-proxy: waits until that serves each VIP that we serve, then takes ours away. Until then ours stay, so that no
 * connection is refused.
 *
 * @returns what was removed, in words
 * @throws EnvironmentError INTERRUPTED, and what keeps ours from being looked at or removed
 */
export async function giveBack(options: GiveBackOptions): Promise<readonly string[]> {
  const { machine, signal } = options;
  const rules = await waitForKubeProxy(options);
  // Chains of the same names are kube-proxy's by now: only the marks on them are ours.
  const isReleased = await releaseToKubeProxy(machine, { rules, signal });
  const removed = isReleased ? ["the marks of iptables chains that are kube-proxy's now"] : [];
  for (const dataPath of options.dataPaths) removed.push(...(await cleanUp(dataPath, options)));
  return removed;
}

/**
 * Waits as long as ours serve something that kube-proxy does not. In its nftables mode it takes away chains with the names of ours by itself.
 *
 * @returns its rules
 */
async function waitForKubeProxy({
  machine,
  dataPaths,
  logger,
  signal,
  lookMs = LOOK_MS,
  lostAfterMs = LOST_AFTER_MS,
}: GiveBackOptions): Promise<readonly KubeProxyRules[]> {
  let last = "";
  let sinceMs = performance.now();
  for (;;) {
    const { vips } = joinCensuses(await Promise.all(dataPaths.map((dataPath) => censusOf(dataPath, signal))));
    const rules = await findKubeProxyRules(machine, { signal });
    if (vips.size === 0) return rules;
    const missing = rules.length === 0 ? [] : await missingAtKubeProxy(machine, { rules, vips, signal });
    const synced = rules.length === 0 ? undefined : await hasKubeProxySynced(machine);
    const what =
      rules.length === 0
        ? "kube-proxy's rules"
        : synced === false
          ? "kube-proxy's first rules to be whole"
          : missing.length > 0
            ? `kube-proxy to serve ${listNames(missing)}`
            : "";
    if (what !== last) {
      if (what !== "") logger.info(`waiting for ${what}; ours serve until then`);
      last = what;
      sinceMs = performance.now();
    }
    const waitedMs = performance.now() - sinceMs;
    if (what === "" && (synced === true || waitedMs >= SETTLED_MS)) return rules;
    if (rules.length > 0 && synced !== false && missing.length > 0 && waitedMs >= lostAfterMs) {
      logger.warn(
        `kube-proxy does not serve ${listNames(missing)}, which are services that are no more, or that it leaves to others`,
      );
      return rules;
    }
    await delay(lookMs, undefined, { signal }).catch((cause: unknown) => {
      throw new EnvironmentError("INTERRUPTED", "Interrupted: ours still serve", { cause });
    });
  }
}

/** What cannot be looked at is not there. */
async function censusOf(dataPath: DataPath, signal: AbortSignal) {
  try {
    return await dataPath.census({ signal });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
    return EMPTY_CENSUS;
  }
}

async function cleanUp(dataPath: DataPath, { logger, signal }: GiveBackOptions): Promise<readonly string[]> {
  try {
    const { removed, problems } = await dataPath.cleanup({ signal });
    for (const problem of problems) logger.warn({ code: problem.code }, problemSentence(problem));
    return removed;
  } catch (error) {
    if (error instanceof EnvironmentError && ["MISSING_TOOL", "NFT_UNSUPPORTED"].includes(error.code)) return [];
    throw error;
  }
}
