import type { IpAddress } from "@svcproxy/topology";
import { formatFraction, toNumber } from "../../trace/packet/fraction.ts";
import type { Trace } from "../../trace/trace-packet.ts";
import type { EndAddress, Outcome } from "../../trace/walk/outcome.ts";
import type { Seen } from "./kernel-world.ts";

/** What became of one packet in the kernel. */
export type KernelOutcome =
  | {
      readonly kind: "delivered";
      readonly by: string;
      readonly source: EndAddress;
      readonly destination: EndAddress;
      readonly mark: number | undefined;
    }
  | { readonly kind: "refused" }
  | { readonly kind: "lost" };

/** Reads what was seen of one packet, the surest sign first: an answer of the host's own stack is not a refusal by a rule. */
export function kernelOutcome(seen: readonly Seen[], interfaceName: (index: number) => string): KernelOutcome {
  const probe = (where: Seen["where"]) =>
    seen.find((one) => one.where === where && one.observation.packet.kind === "probe");
  const input = probe("input");
  if (input !== undefined) return delivered("", input);
  const left = probe("postrouting");
  if (left !== undefined) return delivered(interfaceName(left.observation.outIndex), left);
  // A reset to a bridge port passes no hook: it is seen where it arrives only.
  if (seen.some(({ observation }) => observation.packet.kind === "error")) return { kind: "refused" };
  const arrived = probe("pod1") ?? probe("pod2");
  // No hook of the host saw it, so nobody knows its mark.
  return arrived === undefined ? { kind: "lost" } : { ...delivered("cni0", arrived), mark: undefined };
}

function delivered(by: string, { observation }: Seen): Extract<KernelOutcome, { readonly kind: "delivered" }> {
  const { packet, mark } = observation;
  const end = (address: IpAddress, port: number): EndAddress =>
    port === 0 ? { address } : { address, ports: { from: port, to: port } };
  return {
    kind: "delivered",
    by,
    source: end(packet.source, packet.sourcePort),
    destination: end(packet.destination, packet.destinationPort),
    mark,
  };
}

/** Chances at least this high must show in so many repeats as `REPEATS`: the odds against are one in ten thousand million. */
const SURE_CHANCE = 0.5;
const REPEATS = 34;

/** How often a packet must be sent to see what it may come to. */
export function repeatsFor({ branches }: Trace): number {
  return branches.length === 1 && branches[0]?.kind === "decided" ? 1 : REPEATS;
}

/** A sentence where the kernel and the engine disagree about a packet; undefined where they agree. */
export function judge(trace: Trace, observed: readonly KernelOutcome[]): string | undefined {
  const possible = trace.branches.flatMap((branch) =>
    branch.kind === "decided" ? [branch.outcome] : branch.possible.map(({ outcome }) => outcome),
  );
  const saysNothing = possible.some(({ verdict }) => verdict === "undecided");
  const strange = observed.find((one) => !possible.some((outcome) => fits(one, outcome)));
  if (strange !== undefined && !saysNothing) return `the kernel did: ${describeKernelOutcome(strange)}`;
  if (observed.length < REPEATS) return undefined;
  for (const branch of trace.branches) {
    if (branch.kind === "undecided" || branch.outcome.verdict === "undecided") continue;
    if (toNumber(branch.probability) < SURE_CHANCE) continue;
    if (!observed.some((one) => fits(one, branch.outcome)))
      return `the kernel never did: ${describeTracedOutcome(branch.outcome)} (${formatFraction(branch.probability)})`;
  }
  return undefined;
}

function fits(seen: KernelOutcome, outcome: Outcome): boolean {
  if (outcome.verdict === "dropped") return seen.kind === "lost";
  // What routing refuses, the kernel tells the sender of within limits only, and a program on the host by an error.
  if (outcome.verdict === "refused")
    return seen.kind === "refused" || (seen.kind === "lost" && !outcome.because.startsWith("rule"));
  if (seen.kind !== "delivered") return false;
  return (
    seen.by === (outcome.leftBy ?? "") &&
    (seen.mark === undefined || seen.mark === outcome.mark) &&
    sameEnd(seen.source, outcome.source) &&
    sameEnd(seen.destination, outcome.destination)
  );
}

function sameEnd(seen: EndAddress, { address, ports }: EndAddress): boolean {
  if (seen.address !== address) return false;
  if (seen.ports === undefined || ports === undefined) return true;
  return seen.ports.from >= ports.from && seen.ports.from <= ports.to;
}

export function describeKernelOutcome(seen: KernelOutcome): string {
  if (seen.kind !== "delivered") return seen.kind;
  return `${seen.by === "" ? "kept" : `out by ${seen.by}`} ${describeEnds(seen)} mark ${seen.mark?.toString(16) ?? "?"}`;
}

export function describeTrace({ branches }: Trace): string {
  return branches
    .map((branch) =>
      branch.kind === "decided"
        ? `${formatFraction(branch.probability)} ${describeTracedOutcome(branch.outcome)}`
        : `${formatFraction(branch.probability)} one of: ${branch.possible.map(({ outcome }) => describeTracedOutcome(outcome)).join("; ")} (${branch.question.because})`,
    )
    .join("\n    ");
}

function describeTracedOutcome(outcome: Outcome): string {
  if (outcome.endpoint === undefined) return `${outcome.verdict} (${outcome.because})`;
  return `${outcome.leftBy === undefined ? "kept" : `out by ${outcome.leftBy}`} ${describeEnds(outcome)} mark ${outcome.mark.toString(16)}`;
}

function describeEnds({
  source,
  destination,
}: {
  readonly source: EndAddress;
  readonly destination: EndAddress;
}): string {
  const format = ({ address, ports }: EndAddress) =>
    ports === undefined ? address : `${address} ${ports.from}${ports.to === ports.from ? "" : `-${ports.to}`}`;
  return `${format(source)} > ${format(destination)}`;
}
