import type { RuleCount } from "@svcproxy/host";
import type { Generation } from "@svcproxy/userspace";
import type { ObjectChanges } from "../source.ts";
import type { ApplyTimes } from "./apply-times.ts";

/** What an agent did so far, beside what its status tells. */
export interface MeasuredWork {
  /** Of the plans for which everything on the machine was looked at. */
  readonly fullApplies: ApplyTimes;
  /** Of those for which only some services were looked at. */
  readonly partialApplies: ApplyTimes;
  /** How long it took to look for UDP flows that have to go, where plans made that necessary. */
  readonly udpSettlings: ApplyTimes;
  /** UDP flows that the kernel was made to forget. */
  readonly deletedUdpFlows: number;
  /** Plans that could not be carried out, or not for all services. */
  readonly failureCount: number;
  /** Of our rules, where their number grows with the services: iptables. */
  readonly ruleCounts: readonly RuleCount[];
  /** Undefined: the source has no objects of its own for services and for endpoints. */
  readonly objectChanges: ObjectChanges | undefined;
  /** Userspace proxies that were taken over, and go on for the connections that they have. */
  readonly generations: readonly Generation[];
}
