import type { IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import { compareFractions } from "../packet/fraction.ts";
import { describeOutcome } from "../report/describe-outcome.ts";
import type { Trace, TracedBranch } from "../trace-packet.ts";
import type { EndAddress, Outcome } from "../walk/outcome.ts";
import type { KnownChains } from "./known-chains.ts";
import { type Hop, type ObservedEnd, type ObservedWay, observedWay } from "./observed-hops.ts";
import type { ObservedPacket } from "./observed-packet.ts";
import { type PredictedHop, predictedHops } from "./predicted-hops.ts";

/**
 * How the kernel's way stands to the prediction. `agrees`: the same rules, the same end; `other-way`: the same end, by rules of which a
 * prediction that joins ways told one; `undecided`: the prediction goes no further than where they agree; `disagrees`: anything else.
 */
export type Agreement = "agrees" | "other-way" | "undecided" | "disagrees";

export interface ObservedComparison {
  readonly agreement: Agreement;
  readonly observed: ObservedWay;
  /** The branch that is nearest to what happened. */
  readonly branch: TracedBranch;
  /** 0-based place of `branch` in the trace. */
  readonly branchIndex: number;
  readonly predicted: readonly PredictedHop[];
  /** How many of the observed hops are as predicted, from the first on. */
  readonly alike: number;
  /** How many of the predicted hops these are. */
  readonly alikePredicted: number;
  /** What is otherwise first: a sentence. Undefined where they agree. */
  readonly disagreement?: string;
}

/** Compares what the kernel did with a packet with what the trace of such a packet expects. */
export function compareObserved(
  packet: ObservedPacket,
  { trace, chains }: { readonly trace: Trace; readonly chains: KnownChains },
): ObservedComparison {
  const observed = observedWay(packet, chains);
  const compared = trace.branches.map((branch, branchIndex) =>
    compareBranch(observed, { branch, branchIndex, legacyTables: chains.legacyTables }),
  );
  const [first, ...others] = compared;
  if (first === undefined) throw new RangeError("a trace has at least one branch");
  return others.reduce((best, other) => (isNearer(other, best) ? other : best), first);
}

const ORDER: readonly Agreement[] = ["agrees", "undecided", "other-way", "disagrees"];

function isNearer(one: ObservedComparison, other: ObservedComparison): boolean {
  const byAgreement = ORDER.indexOf(one.agreement) - ORDER.indexOf(other.agreement);
  if (byAgreement !== 0) return byAgreement < 0;
  if (one.alike !== other.alike) return one.alike > other.alike;
  return compareFractions(one.branch.probability, other.branch.probability) > 0;
}

function compareBranch(
  observed: ObservedWay,
  {
    branch,
    branchIndex,
    legacyTables,
  }: { readonly branch: TracedBranch; readonly branchIndex: number; readonly legacyTables: ReadonlySet<string> },
): ObservedComparison {
  const predicted = predictedHops(branch, legacyTables);
  const { alike, alikePredicted } = align(observed.hops, predicted);
  const found = { observed, branch, branchIndex, predicted, alike, alikePredicted };
  const [next, expected] = [observed.hops[alike], predicted[alikePredicted]?.hop];
  const outcome = branch.kind === "undecided" ? undefined : branch.outcome;
  if (outcome === undefined || outcome.verdict === "undecided") {
    if (expected === undefined)
      return { ...found, agreement: "undecided", disagreement: "the prediction goes no further than here" };
    return { ...found, agreement: "disagrees", disagreement: describeHops(next, expected) };
  }
  const otherEnd = endDifference(observed.end, outcome);
  if (next === undefined && expected === undefined) {
    return otherEnd === undefined
      ? { ...found, agreement: "agrees" }
      : { ...found, agreement: "disagrees", disagreement: otherEnd };
  }
  const agreement = otherEnd === undefined ? "other-way" : "disagrees";
  return { ...found, agreement, disagreement: describeHops(next, expected) };
}

/** How far both go together; what is predicted and makes no difference may be missing. */
function align(hops: readonly Hop[], predicted: readonly PredictedHop[]) {
  let [alike, alikePredicted] = [0, 0];
  for (;;) {
    const [hop, expected] = [hops[alike], predicted[alikePredicted]];
    if (expected !== undefined && hop !== undefined && isSame(hop, expected.hop)) {
      alike++;
      alikePredicted++;
    } else if (expected?.isOptional === true) alikePredicted++;
    else return { alike, alikePredicted };
  }
}

function isSame(one: Hop, other: Hop): boolean {
  if (one.table !== other.table || one.chain !== other.chain) return false;
  if (one.kind === "rule" && other.kind === "rule") return one.number === other.number;
  return one.kind === other.kind;
}

function describeHops(next: Hop | undefined, expected: Hop | undefined): string {
  const predicted = expected === undefined ? "no further rule was predicted" : `${nameHop(expected)} was predicted`;
  return next === undefined
    ? `no further rule took it, and ${predicted}`
    : `${nameHop(next)} took it, and ${predicted}`;
}

/** `rule 3 of nat KUBE-SERVICES (-d …)`. */
export function nameHop(hop: Hop): string {
  if (hop.kind === "policy") return `the policy of ${hop.table} ${hop.chain}`;
  const number = hop.number === undefined ? "a rule" : `rule ${hop.number}`;
  return `${number} of ${hop.table} ${hop.chain}${hop.text === "" ? "" : ` (${hop.text})`}`;
}

/** @returns undefined where the packet ended as was predicted */
function endDifference(end: ObservedEnd, outcome: Outcome): string | undefined {
  const otherwise = `it ${describeEnd(end)}, and it was predicted to be ${describeOutcome(outcome)}`;
  switch (end.kind) {
    case "dropped":
    case "lost":
      return outcome.verdict === "dropped" || outcome.verdict === "refused" ? undefined : otherwise;
    case "host":
    case "interface": {
      if (outcome.verdict !== "accepted" && outcome.verdict !== "untouched") return otherwise;
      const by = end.kind === "host" ? undefined : end.interface;
      const { source, sourcePort, destination, destinationPort } = end.header;
      const isAlike =
        outcome.leftBy === by &&
        isAt(outcome.destination, { address: destination, port: destinationPort }) &&
        isAt(outcome.source, { address: source, port: sourcePort });
      return isAlike ? undefined : otherwise;
    }
  }
}

function isAt(
  { address, ports }: EndAddress,
  seen: { readonly address: IpAddress | string; readonly port: number | undefined },
): boolean {
  return address === seen.address && (ports === undefined || seen.port === undefined || isIn(ports, seen.port));
}

function isIn({ from, to }: NumberRange, port: number): boolean {
  return port >= from && port <= to;
}

/** For people, behind `it`: `left by flannel.1 to 10.5.88.2:3000, from 10.5.75.0:41002`. */
export function describeEnd(end: ObservedEnd): string {
  switch (end.kind) {
    case "host":
      return `was handed to the host's own programs at ${describeHeader(end.header)}`;
    case "interface":
      return `left by ${end.interface} to ${describeHeader(end.header)}`;
    case "dropped":
      return "was dropped or refused by the last of these rules";
    case "lost":
      return end.behind === undefined
        ? "came to no further hook"
        : `came to no hook behind ${end.behind}: the routing, or rules of iptables-legacy, ended it`;
  }
}

function describeHeader({
  source,
  sourcePort,
  destination,
  destinationPort,
}: {
  readonly source: string;
  readonly sourcePort?: number;
  readonly destination: string;
  readonly destinationPort?: number;
}): string {
  return `${socketText(destination, destinationPort)}, from ${socketText(source, sourcePort)}`;
}

export function socketText(address: string, port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
