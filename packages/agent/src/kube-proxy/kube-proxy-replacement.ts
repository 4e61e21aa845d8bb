import { setTimeout as delay } from "node:timers/promises";
import { type Machine, MissingTool } from "@svcproxy/host";
import { EnvironmentError, type Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import {
  adoptKubeProxyChains,
  deleteKubeProxyTables,
  describeKubeProxyRules,
  findKubeProxyRules,
} from "./kube-proxy-rules.ts";
import { describeSigns, isAlive, type KubeProxySigns, readKubeProxySigns } from "./kube-proxy-signs.ts";

export interface KubeProxyReplacementOptions {
  readonly machine: Machine;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Ports that this process has. */
  readonly ownPorts: () => ReadonlySet<number>;
  /**
   * Whether ours go into the chains of its iptables mode, which have the same names: then nothing is served before it is gone, and its chains
   * become ours. Else ours are asked first, beside it.
   */
  readonly takesChains: boolean;
  /** Takes away what is marked as ours of the iptables data path, which is not the one that serves. */
  readonly cleanUpChains: () => Promise<void>;
  /** Default 10 s. */
  readonly goneForMs?: number;
}

/** A supervisor starts it again sooner, as a rule. */
const GONE_FOR_MS = 10_000;
/** While it may come or go at any time. */
const LOOK_MS = 1_000;
/** Once it is replaced. */
const CALM_LOOK_MS = 10_000;

/**
 * Takes the place of a kube-proxy of this network namespace, which would write its rules back as long as it runs: stays beside it, and takes its
 * rules away once its process has been gone for some time. One that comes back is told, and not fought.
 */
export class KubeProxyReplacement {
  readonly #options: KubeProxyReplacementOptions;
  readonly #gone = Promise.withResolvers<void>();
  #goneSinceMs: number | undefined;
  #serves = false;
  /** Whether nobody else writes chains with the names of ours. */
  #areChainsOurs = false;
  #isReplaced = false;
  /** Whether it may be removed: not where rules came back from one that nobody saw. */
  #wasSeen = true;
  #said = "";
  /** How it stands with the kube-proxy, where it is not over. */
  problem: Problem | undefined;

  constructor(options: KubeProxyReplacementOptions) {
    this.#options = options;
  }

  /** Resolves once it has been gone for long enough, and where ours go into its chains, once these are ours. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Whether a kube-proxy writes the chains that ours are in: then ours are left alone, because one would undo the other's. */
  get writesOurChains(): boolean {
    return this.#options.takesChains && !this.#areChainsOurs;
  }

  /** Ours serve all of the plan. */
  serves(): void {
    this.#serves = true;
  }

  /** Never rejects; resolves once the signal is aborted. */
  async run(): Promise<void> {
    const { signal, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#look();
      } catch (err) {
        if (signal.aborted) break;
        const isKnown = err instanceof EnvironmentError;
        logger[isKnown ? "warn" : "error"]({ err }, "kube-proxy's place could not be taken yet, it is tried again");
      }
      const isCalm = this.#isReplaced && this.problem === undefined;
      await delay(isCalm ? CALM_LOOK_MS : LOOK_MS, undefined, { signal }).catch(() => {});
    }
    this.#gone.resolve();
  }

  async #look(): Promise<void> {
    const { machine, goneForMs = GONE_FOR_MS } = this.#options;
    const signs = await readKubeProxySigns(machine, { ownPorts: this.#options.ownPorts() });
    if (isAlive(signs)) {
      this.#goneSinceMs = undefined;
      this.#wasSeen = true;
      this.#areChainsOurs = false;
      this.#tell(this.#isReplaced ? backProblem(describeSigns(signs)) : besideProblem(signs, this.#options));
      return;
    }
    this.#goneSinceMs ??= performance.now();
    if (performance.now() - this.#goneSinceMs < goneForMs) return;
    if (this.#isReplaced) await this.#lookForOthers();
    else await this.#takeOver();
  }

  async #takeOver(): Promise<void> {
    const { machine, signal, logger, takesChains, cleanUpChains } = this.#options;
    const rules = await findKubeProxyRules(machine, { signal });
    if (takesChains) {
      await adoptKubeProxyChains(machine, { rules, signal });
      this.#areChainsOurs = true;
      this.#gone.resolve();
    }
    // Before ours serve, its rules do.
    if (!this.#serves) return;
    await deleteKubeProxyTables(machine, { rules, signal });
    if (!takesChains && rules.some(({ kind }) => kind === "iptables")) {
      await adoptKubeProxyChains(machine, { rules, signal });
      await cleanUpChains();
    }
    this.#isReplaced = true;
    this.#gone.resolve();
    this.#tell(undefined);
    const what = rules.length === 0 ? "there were no rules of it" : `removed ${describeKubeProxyRules(rules)}`;
    logger.info({ removed: rules.length }, `kube-proxy is gone, and replaced: ${what}`);
  }

  /** One that cannot be seen is known by its rules. What nobody saw run, nobody saw end: its rules stay. */
  async #lookForOthers(): Promise<void> {
    const { machine, signal } = this.#options;
    const rules = await findKubeProxyRules(machine, { signal }).catch((error: unknown) => {
      if (error instanceof MissingTool) return [];
      throw error;
    });
    if (rules.length === 0) {
      this.#wasSeen = false;
      this.#tell(undefined);
    } else if (this.#wasSeen && this.problem !== undefined) await this.#takeOver();
    else {
      this.#areChainsOurs = false;
      this.#tell(backProblem(`it has written ${describeKubeProxyRules(rules)}`));
    }
  }

  #tell(problem: Problem | undefined): void {
    this.problem = problem;
    const text = problem === undefined ? "" : `${problem.text}: ${problem.hint}`;
    if (text !== this.#said && problem !== undefined) this.#options.logger.warn({ code: problem.code }, text);
    this.#said = text;
  }
}

function besideProblem(signs: KubeProxySigns, { takesChains }: { readonly takesChains: boolean }): Problem {
  const how = takesChains
    ? "it serves until then, because both would write the same chains"
    : "ours are asked first, beside it";
  return {
    ...{ code: "KUBE_PROXY_BESIDE", severity: "warning", subject: "kube-proxy" },
    text: `kube-proxy still runs here (${describeSigns(signs)}); ${how}`,
    hint: "Take its pod from this node, as deploy/kubernetes does: its rules are removed once it has been gone for 10 s",
  };
}

function backProblem(sign: string): Problem {
  return {
    ...{ code: "KUBE_PROXY_BACK", severity: "warning", subject: "kube-proxy" },
    text: `kube-proxy was replaced, and is back (${sign}); its rules are left alone while it runs`,
    hint: "Take its pod from this node, or give the node back to it: svcproxy run kubernetes --give-back",
  };
}
