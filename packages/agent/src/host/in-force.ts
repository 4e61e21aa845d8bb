import { createHash } from "node:crypto";
import { addCounts, countStates, NO_COUNTS, type ServicePortStatus } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import type { CarriedOut } from "../agent-options.ts";
import { addTime, noTimes } from "../observe/times.ts";
import {
  APPLY_TIME_BUCKETS_SECONDS,
  type ApplyTimes,
  addApply,
  NO_APPLIES,
  PROGRAMMING_TIME_BUCKETS_SECONDS,
} from "./metrics/apply-times.ts";
import type { MeasuredWork } from "./metrics/measured-work.ts";
import { ServiceBook, type ServiceDetail } from "./service-book.ts";

/** The plan that is carried out, and what carrying plans out took so far. */
export class InForce {
  readonly #services = new ServiceBook();
  #last: { readonly plan: HostPlan; digest?: string } | undefined;
  #applies = NO_APPLIES;
  #continues: boolean | undefined;
  #tries = noTimes(APPLY_TIME_BUCKETS_SECONDS);
  #fullTries = noTimes(APPLY_TIME_BUCKETS_SECONDS);
  #partialTries = noTimes(APPLY_TIME_BUCKETS_SECONDS);
  #udpSettlings = NO_APPLIES;
  #deletedUdpFlows = NO_COUNTS;
  readonly #programmingTimes = {
    4: noTimes(PROGRAMMING_TIME_BUCKETS_SECONDS),
    6: noTimes(PROGRAMMING_TIME_BUCKETS_SECONDS),
  };
  #failureCount = 0;
  #partialFailureCount = 0;
  #ruleCounts: CarriedOut["ruleCounts"];

  carriedOut(outcome: CarriedOut): void {
    this.#continues ??= outcome.continues;
    const { changed, tookMs, plan, deletedUdpFlows, settledUdpMs, ruleCounts, ports, refusedPart } = outcome;
    this.#services.carriedOut(outcome);
    this.#deletedUdpFlows = addCounts(this.#deletedUdpFlows, deletedUdpFlows);
    for (const { family, seconds } of outcome.programmed)
      this.#programmingTimes[family] = addTime(this.#programmingTimes[family], seconds);
    const at = new Date();
    this.#applies = addApply(this.#applies, { tookMs, at });
    this.#tried({ isPartial: changed !== undefined, tookMs });
    if (settledUdpMs !== undefined) this.#udpSettlings = addApply(this.#udpSettlings, { tookMs: settledUdpMs, at });
    this.#ruleCounts = ruleCounts;
    const hasFailed = countStates(ports).failed > 0;
    // What did not go in by itself, and did when all was looked at, is a refusal as well.
    if (hasFailed || refusedPart) this.#refused({ isPartial: changed !== undefined });
    if (this.#last?.plan !== plan) this.#last = { plan };
  }

  /** Undefined: none is in force. */
  get plan(): HostPlan | undefined {
    return this.#last?.plan;
  }

  /** Whether the first plan met something of ours that was there before. */
  get continues(): boolean {
    return this.#continues === true;
  }

  get applies(): ApplyTimes {
    return this.#applies;
  }

  /** None of a plan could be carried out; `isPartial`: only services that changed were to be written. */
  failed(failure: { readonly isPartial: boolean; readonly tookMs: number }): void {
    this.#tried(failure);
    this.#refused(failure);
  }

  #refused({ isPartial }: { readonly isPartial: boolean }): void {
    this.#failureCount += 1;
    if (isPartial) this.#partialFailureCount += 1;
  }

  #tried({ isPartial, tookMs }: { readonly isPartial: boolean; readonly tookMs: number }): void {
    const seconds = tookMs / 1000;
    this.#tries = addTime(this.#tries, seconds);
    if (isPartial) this.#partialTries = addTime(this.#partialTries, seconds);
    else this.#fullTries = addTime(this.#fullTries, seconds);
  }

  /** What the metrics tell of it beside the status. */
  get measured(): Omit<
    MeasuredWork,
    "objectChanges" | "requests" | "generations" | "draining" | "cleanupFailureCount"
  > {
    return {
      tries: this.#tries,
      fullTries: this.#fullTries,
      partialTries: this.#partialTries,
      udpSettlings: this.#udpSettlings,
      deletedUdpFlows: this.#deletedUdpFlows,
      programmingTimes: { ...this.#programmingTimes },
      failureCount: this.#failureCount,
      partialFailureCount: this.#partialFailureCount,
      ruleCounts: this.#ruleCounts?.() ?? [],
    };
  }

  /** Tells plans apart, by the frontends and who answers them; made when somebody asks. Undefined: none is in force. */
  get digest(): string | undefined {
    if (this.#last === undefined) return undefined;
    this.#last.digest ??= digestOf(this.#last.plan);
    return this.#last.digest;
  }

  /** Of the services that `NAME` or `NAMESPACE/NAME` means; none: no such service is in force. */
  tellServices(name: string, ports: readonly ServicePortStatus[]): readonly ServiceDetail[] {
    const { plan } = this;
    return plan === undefined ? [] : this.#services.tell(name, { plan, ports });
  }
}

function digestOf({ ports, node }: HostPlan): string {
  const parts = ports.map(({ service, port, family, frontends }) => [
    service.namespace,
    service.name,
    port,
    family,
    frontends,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([node, parts]))
    .digest("hex")
    .slice(0, 16);
}
