import type { ProofContext } from "./proof-context.ts";
import { leavesBy, loopbackName, routeOutput } from "./route-output.ts";
import { goesOn, next } from "./stages.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import { walkHook } from "./walk-symbolic-hook.ts";
import type { SymbolicResult } from "./walk-table.ts";

export function walkLocal(context: ProofContext, state: SymbolicState): SymbolicResult {
  const loopback = loopbackName(context);
  return next(
    next(
      next(routeOutput(context, state, { isFirst: true }), (one) => walkHook(context, one, "OUTPUT")),
      (one) => walkHook(context, { ...one, outInterface: leavesBy(context, one) }, "POSTROUTING"),
    ),
    (one) => (one.outInterface === loopback ? loopBack(context, one) : goesOn(one)),
  );
}

/** What the host sends to itself comes in again by the loopback; NAT is not asked twice. */
function loopBack(context: ProofContext, state: SymbolicState): SymbolicResult {
  const returning: SymbolicState = {
    ...state,
    isLocal: false,
    inInterface: { name: loopbackName(context) },
    outInterface: undefined,
  };
  return next(walkHook(context, returning, "PREROUTING"), (one) => walkHook(context, one, "INPUT"));
}
