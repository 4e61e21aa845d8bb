import type { FamilyCounts, RuleCount } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import type { Draining, Generation } from "@svcproxy/userspace";
import type { RequestCounts } from "../../kubernetes/request-counter.ts";
import type { Times } from "../../observe/times.ts";
import type { ObjectChanges } from "../../source.ts";
import type { ApplyTimes } from "./apply-times.ts";

/** What an agent did so far, beside what its status tells. */
export interface MeasuredWork {
  /** How long it took to carry plans out, or to learn that this could not be. */
  readonly tries: Times;
  /** Of those for which everything on the machine was looked at. */
  readonly fullTries: Times;
  /** Of those for which only some services were to be written. */
  readonly partialTries: Times;
  /** How long it took to look for UDP flows that have to go, where plans made that necessary. */
  readonly udpSettlings: ApplyTimes;
  /** UDP flows that the kernel was made to forget. */
  readonly deletedUdpFlows: FamilyCounts;
  /** From what caused changes of endpoints until they were in force, as far as the source tells the former. */
  readonly programmingTimes: Readonly<Record<Family, Times>>;
  /** Plans that could not be carried out, or not for all services, or not by writing only those that changed. */
  readonly failureCount: number;
  /** Those of them, and of the ones that went in when all was looked at, for which only some services were to be written. */
  readonly partialFailureCount: number;
  /** How often what earlier changes left over could not be removed; undefined: this data path leaves nothing over. */
  readonly cleanupFailureCount: number | undefined;
  /** Of our rules, where their number grows with the services: iptables. */
  readonly ruleCounts: readonly RuleCount[];
  /** Undefined: the source has no objects of its own for services and for endpoints. */
  readonly objectChanges: ObjectChanges | undefined;
  /** Undefined: the source asks no API server. */
  readonly requests: RequestCounts | undefined;
  /** Userspace proxies that were taken over, and go on for the connections that they have. */
  readonly generations: readonly Generation[];
  /** Undefined: what this data path carries does not end with the agent, or it accepts still. */
  readonly draining: Draining | undefined;
}
