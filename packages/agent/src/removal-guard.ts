import { type Census, censusOf } from "@svcproxy/host";
import { changedServices, type HostPlan, type Problem, portsOfService } from "@svcproxy/topology";
import type { Logger } from "pino";

/** A change that waits for somebody to say that it is meant. */
export interface HeldChange {
  readonly since: Date;
  readonly lost: Loss;
  readonly problem: Problem;
}

/** How much a change takes away. */
export interface Loss {
  readonly vips: Share;
  /** VIPs that had endpoints, and are left without one or taken away. */
  readonly answering: Share;
  readonly endpoints: Share;
}

export interface Share {
  readonly gone: number;
  /** Of how many. */
  readonly of: number;
}

export interface RemovalGuardOptions {
  /** What takes away fewer than this passes; 0: everything passes. */
  readonly least: number;
  /** What this host serves before the first plan. */
  readonly census: () => Promise<Census>;
  readonly logger: Logger;
}

/**
 * Holds back plans that take away more than half of all VIPs, of those that answer, or of all endpoints at once, until they are confirmed or undone: an empty
 * list that is complete may be a mistake of whoever wrote it.
 */
export class RemovalGuard {
  readonly #options: RemovalGuardOptions;
  #before: Census | undefined;
  #held: (HeldChange & { readonly plan: HostPlan }) | undefined;
  #confirmed: HostPlan | undefined;
  #heldCount = 0;
  /** Whether all that was told since something passed last is meant. */
  #isMeant = false;
  /** Whether nothing was told since. */
  #hasPassed = false;
  /** At least so much of the plan in force is served, as far as it was counted. */
  #floor: { readonly plan: HostPlan; readonly answering: number; readonly endpoints: number } | undefined;

  constructor(options: RemovalGuardOptions) {
    this.#options = options;
  }

  /** A plan comes of a snapshot: see `SourceSnapshot.isMeant`. */
  told(isMeant = false): void {
    this.#isMeant = isMeant && (this.#hasPassed || this.#isMeant);
    this.#hasPassed = false;
  }

  get held(): HeldChange | undefined {
    return this.#held;
  }

  /** How many changes were held back so far. */
  get heldCount(): number {
    return this.#heldCount;
  }

  /**
   * @param inForce the plan that is; undefined: whatever the machine has from before
   * @param withdrawn endpoints that do not count: see `SourceSnapshot`
   */
  async holds(
    plan: HostPlan,
    inForce: HostPlan | undefined,
    { withdrawn = new Set() }: { readonly withdrawn?: ReadonlySet<string> | undefined } = {},
  ): Promise<boolean> {
    const { least, census, logger } = this.#options;
    if (this.#isMeant && this.#held === undefined && inForce !== undefined) return false;
    if (least === 0 || plan === inForce || plan === this.#confirmed || this.#touchesFew(plan, inForce)) {
      if (this.#held !== undefined && plan !== this.#confirmed) logger.info("the change that was held back is undone");
      this.#release();
      return false;
    }
    this.#before ??= inForce === undefined ? await census() : undefined;
    const before = inForce === undefined ? this.#before : censusOf(inForce, withdrawn);
    const after = censusOf(plan);
    const lost = lossOf(before, after, withdrawn);
    if (!Object.values(lost).some((share) => isMass(share, least))) {
      if (this.#held !== undefined) logger.info("the change that was held back is undone");
      this.#release();
      this.#floor = { plan, answering: after.answering.size, endpoints: after.endpoints.size };
      return false;
    }
    const problem = heldProblem(lost);
    if (this.#held?.problem.text !== problem.text) {
      this.#heldCount += 1;
      logger.error({ code: problem.code }, `${problem.text}: ${problem.hint}`);
    }
    this.#held = { since: this.#held?.since ?? new Date(), lost, problem, plan };
    return true;
  }

  /** Lets the plan that is held back pass. @returns undefined where none is */
  confirm(): HeldChange | undefined {
    this.#confirmed = this.#held?.plan;
    return this.#held;
  }

  #release(): void {
    this.#held = undefined;
    this.#isMeant = false;
    this.#hasPassed = true;
  }

  /** Whether so little is otherwise that nothing has to be counted: most changes. */
  #touchesFew(plan: HostPlan, inForce: HostPlan | undefined): boolean {
    const changed = inForce === undefined ? undefined : changedServices(plan, inForce);
    if (inForce === undefined || changed === undefined) return false;
    const touched = touchedOf(inForce, changed);
    const floor = this.#floor?.plan === inForce ? this.#floor : undefined;
    // There are no fewer VIPs than those that answer.
    const isLittle =
      floor !== undefined && touched.vips * 2 <= floor.answering && touched.endpoints * 2 <= floor.endpoints;
    if (!isLittle && Math.max(touched.vips, touched.endpoints) >= this.#options.least) return false;
    if (floor !== undefined)
      this.#floor = { plan, answering: floor.answering - touched.vips, endpoints: floor.endpoints - touched.endpoints };
    return true;
  }
}

/** How much may be lost where these services are otherwise, at most. */
function touchedOf(plan: HostPlan, changed: ReadonlySet<string>): { vips: number; endpoints: number } {
  const touched = { vips: 0, endpoints: 0 };
  for (const name of changed) {
    for (const port of portsOfService(plan, name)) {
      touched.vips += port.frontends.length;
      touched.endpoints += port.reachableEndpoints.length;
    }
  }
  return touched;
}

function lossOf(before: Census | undefined, after: Census, withdrawn: ReadonlySet<string>): Loss {
  // One that is in use again after all is no loss, and no reason to call others none.
  const counts = (endpoint: string) => !withdrawn.has(endpoint) || after.endpoints.has(endpoint);
  const endpoints = new Set([...(before?.endpoints ?? [])].filter(counts));
  return {
    vips: shareOf(before?.vips, after.vips),
    answering: shareOf(before?.answering, after.answering),
    endpoints: shareOf(endpoints, after.endpoints),
  };
}

function shareOf(before: ReadonlySet<string> = new Set(), after: ReadonlySet<string>): Share {
  return { gone: [...before].filter((name) => !after.has(name)).length, of: before.size };
}

/** More than half, and at least so many. */
function isMass({ gone, of }: Share, least: number): boolean {
  return gone >= least && gone * 2 > of;
}

function heldProblem({ vips, answering, endpoints }: Loss): Problem {
  const emptied =
    answering.gone > vips.gone ? `, so that ${answering.gone} of ${answering.of} VIPs have no endpoint left,` : "";
  const what = `${vips.gone} of ${vips.of} VIPs and ${endpoints.gone} of ${endpoints.of} endpoints`;
  return {
    code: "CHANGE_HELD",
    severity: "error",
    subject: "this host",
    text: `A change that takes away ${what} at once${emptied} is held back`,
    hint: "If it is meant: svcproxy confirm. Else mend the source",
  };
}
