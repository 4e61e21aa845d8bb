import type { RefusalAnswer } from "../../trace/walk/refusal-answer.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { onlyMember } from "../space/index-set.ts";
import type { AddressedField } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";

/** What becomes of a packet, as far as it or anyone else can tell: equal texts for ends that are the same. */
export function outcomeKey(end: EndedState, context: ProofContext): string {
  const { state, ending } = end;
  switch (ending.kind) {
    case "delivered":
      return [
        `goes to ${fieldText(state, "destination", context)} port ${fieldText(state, "destinationPort", context)}`,
        `as ${fieldText(state, "source", context)} port ${fieldText(state, "sourcePort", context)}`,
        state.outInterface === undefined ? "on this host" : `by ${state.outInterface}`,
        `mark ${markText(state)}`,
        ...rememberedText(state),
      ].join(", ");
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

function fieldText(state: SymbolicState, field: AddressedField, { space }: ProofContext): string {
  const now = state[field];
  const isAddress = field === "source" || field === "destination";
  if (now === "unknown") return "unknown";
  if (typeof now === "number") return isAddress ? space.addressAt(now) : String(now);
  // A field that was set to the value that it had has not changed.
  const only = onlyMember(state.region[now]);
  if (only === undefined) return "unchanged";
  if (!isAddress) return String(only);
  return space.isSingle(only) ? space.addressAt(only) : "unchanged";
}

/** The mark as a function of the one with which the packet came, of which some bits are known. */
function markText({ mark, region }: SymbolicState): string {
  const { care, value } = region.mark.within;
  const kept = (mark.kept & ~care) >>> 0;
  const fixed = (mark.flipped ^ (mark.kept & care & value)) >>> 0;
  return kept === 0xffffffff && fixed === 0 ? "unchanged" : `& 0x${kept.toString(16)} ^ 0x${fixed.toString(16)}`;
}

function rememberedText(state: SymbolicState): readonly string[] {
  const lists: string[] = [];
  for (let one = state.remembered; one !== undefined; one = one.earlier) lists.push(`remembered on ${one.list}`);
  return [...new Set(lists)].sort();
}
