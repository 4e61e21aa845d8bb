import type { ServicePortStatus } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import type { BegunChange } from "./source.ts";

/** A change of endpoints that is in force. */
export interface ProgrammedChange {
  readonly family: Family;
  /** From what caused it until it was in force, in seconds; 0 where the clock of who told it is ahead of ours. */
  readonly seconds: number;
}

/** So many are waited for on a machine that refuses for long; others are not measured. */
const MAX_AWAITED = 10_000;

/** Changes that were told and are not in force yet. */
export class AwaitedChanges {
  #awaited: readonly BegunChange[] = [];

  add(begun: readonly BegunChange[]): void {
    if (begun.length > 0) this.#awaited = [...this.#awaited, ...begun].slice(0, MAX_AWAITED);
  }

  /**
   * A plan with all that was told was carried out. A change whose service failed is waited for; one that this data path cannot carry out never
   * is in force, and is not measured.
   *
   * @param ports how each port of that plan stands
   */
  settle(ports: readonly ServicePortStatus[], now = new Date()): readonly ProgrammedChange[] {
    if (this.#awaited.length === 0) return [];
    const short = new Map<string, ServicePortStatus["state"]>();
    for (const { service, family, state } of ports) if (state !== "in-force") short.set(`${service} ${family}`, state);
    const stateOf = ({ service, family }: BegunChange) => short.get(`${service} ${family}`);
    const done = this.#awaited.filter((change) => stateOf(change) === undefined);
    this.#awaited = this.#awaited.filter((change) => stateOf(change) === "failed");
    return done.map(({ family, at }) => ({ family, seconds: Math.max(0, now.getTime() - at.getTime()) / 1000 }));
  }
}
