import type { RefusalAnswer } from "../../trace/walk/refusal-answer.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { onlyMember } from "../space/index-set.ts";
import type { AddressedField } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";

/** What becomes of a packet, as far as it or anyone else can tell: equal texts for ends that are the same. */
export function outcomeKey(end: EndedState, context: ProofContext): string {
  const { remembered, deeds } = end.state;
  const fate = fateText(end, context);
  // Thousands of ends do nothing besides.
  return remembered === undefined && deeds === undefined ? fate : [fate, ...besidesText(end.state)].join(", ");
}

function fateText({ state, ending }: EndedState, context: ProofContext): string {
  switch (ending.kind) {
    case "delivered": {
      const to = endText(state, ["destination", "destinationPort"], context);
      const from = endText(state, ["source", "sourcePort"], context);
      const by = state.outInterface === undefined ? "on this host" : `by ${state.outInterface}`;
      return `goes to ${to}, as ${from}, ${by}, mark ${markText(state)}${trackingText(state)}${headerText(state)}`;
    }
    case "refused": {
      return `is refused (${refusalText(ending.answer)})`;
    }
    case "dropped":
      return "is dropped";
    case "undecided":
      return `is undecided: ${ending.because}`;
  }
}

function refusalText(answer: RefusalAnswer): string {
  return answer.kind === "icmp" ? `ICMP type ${answer.type} code ${answer.code}` : answer.kind;
}

/** How conntrack sees it: an answer in another zone finds no connection, and what is not tracked has none. */
function trackingText(state: SymbolicState): string {
  const { conntrack, replyZone, originalZone, direction, entersSwapped, connectionMark } = state;
  const isStranger = entersSwapped === true && direction === "ORIGINAL";
  const { kept = 0, flipped = 0 } = connectionMark ?? {};
  const untracked = conntrack === "untracked" ? ", untracked" : "";
  const zone =
    replyZone === originalZone
      ? replyZone === 0
        ? ""
        : `, in conntrack zone ${replyZone}`
      : `, in conntrack zone ${originalZone}, for answers in ${replyZone}`;
  const mark =
    kept === 0 && flipped === 0 ? "" : `, connection mark & 0x${kept.toString(16)} ^ 0x${flipped.toString(16)}`;
  return `${untracked}${zone}${isStranger ? ", as a connection of its own" : ""}${mark}`;
}

function headerText({ tos, ttl }: SymbolicState): string {
  const service =
    tos.kept === 0xff && tos.flipped === 0 ? "" : `, tos & 0x${tos.kept.toString(16)} ^ 0x${tos.flipped.toString(16)}`;
  return ttl === "" ? service : `${service}, ttl${ttl}`;
}

/** What was done besides to others than the packet's way, in whatever order. */
function besidesText(state: SymbolicState): readonly string[] {
  const texts: string[] = [];
  for (let one = state.remembered; one !== undefined; one = one.earlier)
    texts.push(`remembered on ${one.list} by its ${one.side}`);
  for (let one = state.deeds; one !== undefined; one = one.earlier) texts.push(`with ${one.text}`);
  return [...new Set(texts)].sort();
}

function endText(
  state: SymbolicState,
  [address, port]: readonly [AddressedField, AddressedField],
  context: ProofContext,
): string {
  const [now, portNow] = [fieldText(state, address, context), fieldText(state, port, context)];
  return portNow === UNCHANGED ? now : `${now} port ${portNow}`;
}

const UNCHANGED = "unchanged";

function fieldText(state: SymbolicState, field: AddressedField, { space }: ProofContext): string {
  const now = state[field];
  const isAddress = field === "source" || field === "destination";
  if (now === "unknown") return "unknown";
  if (typeof now === "number") return isAddress ? space.addressAt(now) : String(now);
  // A field that was set to the value that it had has not changed.
  const only = onlyMember(state.region[now]);
  if (only === undefined) return UNCHANGED;
  if (!isAddress) return String(only);
  return space.isSingle(only) ? space.addressAt(only) : UNCHANGED;
}

/** The mark as a function of the one with which the packet came, of which some bits are known. */
function markText({ mark, region }: SymbolicState): string {
  const { care, value } = region.mark.within;
  const kept = (mark.kept & ~care) >>> 0;
  const fixed = (mark.flipped ^ (mark.kept & care & value)) >>> 0;
  return kept === 0xffffffff && fixed === 0 ? UNCHANGED : `& 0x${kept.toString(16)} ^ 0x${fixed.toString(16)}`;
}
