import type { Target } from "../../target.ts";
import { hasConnection } from "./ask-rule.ts";
import type { SymbolicState } from "./symbolic-state.ts";

export function changedMark(
  { kept, flipped }: SymbolicState["mark"],
  { value, mask }: { readonly value: number; readonly mask: number },
): SymbolicState["mark"] {
  return { kept: (kept & ~mask) >>> 0, flipped: ((flipped & ~mask) ^ value) >>> 0 };
}

/** Undefined where what is copied is not known. */
export function connectionMark(
  state: SymbolicState,
  target: Extract<Target, { kind: "connmark" }>,
): readonly SymbolicState[] | undefined {
  const { connectionMark: mark } = state;
  // What is written on a template is lost; what it has is not known.
  if (!hasConnection(state)) return state.conntrack === "template" && target.action === "restore" ? undefined : [state];
  if (target.action === "set")
    return [{ ...state, connectionMark: mark === undefined ? undefined : changedMark(mark, target) }];
  const { packetMask, connectionMask } = target;
  if (target.action === "save")
    return [
      {
        ...state,
        connectionMark: mark === undefined ? undefined : combine(mark, connectionMask, masked(state.mark, packetMask)),
      },
    ];
  return mark === undefined
    ? undefined
    : [{ ...state, mark: combine(state.mark, packetMask, masked(mark, connectionMask)) }];
}

function masked({ kept, flipped }: SymbolicState["mark"], mask: number): SymbolicState["mark"] {
  return { kept: (kept & mask) >>> 0, flipped: (flipped & mask) >>> 0 };
}

/** `(mark & ~cleared) ^ other`, both as functions of the entered mark. Bits kept by both cancel out. */
function combine(mark: SymbolicState["mark"], cleared: number, other: SymbolicState["mark"]): SymbolicState["mark"] {
  const rest = masked(mark, ~cleared);
  return { kept: (rest.kept ^ other.kept) >>> 0, flipped: (rest.flipped ^ other.flipped) >>> 0 };
}
