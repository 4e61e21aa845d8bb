import { formatSocketAddress } from "@svcproxy/topology";
import type { Finding } from "../report/proof.ts";
import { intersect, singleSet, subtract } from "../space/index-set.ts";
import { hasMark, marksWithin } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { describeDestination, endpointOf } from "./check-context.ts";
import { openQuestion } from "./open-questions.ts";
import { markBitsWeTouch } from "./own-rules.ts";
import { report } from "./report-fault.ts";

/** Whatever mark of others a packet brings: it is kept, and changes nothing. */
export function checkMark(check: CheckContext, promise: Promised, { state, ending }: EndedState): void {
  const ours = marksWithin(state.region.mark, { care: check.markBit, value: 0 });
  if (ours === undefined) return;
  const finding = (message: string): Finding => ({
    packet: check.examples.of({
      ...state.region,
      mark: ours.without.length === 0 && ours.within.value === 0 ? foreignMark(check, ours) : ours,
    }),
    message,
    frontend: promise.frontend.name,
  });
  const changes = (markBitsWeTouch(state, check.isOwn) & ~check.markBit) >>> 0;
  if (ending.kind === "delivered" && changes !== 0) {
    const message = `loses the bits of its mark that are not ours (0x${changes.toString(16)})`;
    if (!check.findings.byDesign("whole-mark", () => finding(message))) check.findings.broken(7, finding(message));
  }
  // Where the mark decided nothing, the packets are those of claim 1.
  if (hasMark(state.region.mark, 0)) return;
  checkMarkedWay(check, promise, { state: { ...state, region: { ...state.region, mark: ours } }, ending });
}

/** What leaves has our bit no more, where it came without. */
export function checkMarkEnds(check: CheckContext, promise: Promised, state: SymbolicState): void {
  const { markBit, isOwn, findings, examples } = check;
  const isSet = (state.mark.flipped & markBit) !== 0 && (markBitsWeTouch(state, isOwn) & markBit) !== 0;
  if (state.outInterface === undefined || !isSet) return;
  const message = `leaves by ${state.outInterface} with our mark 0x${markBit.toString(16)} still on it`;
  const finding = (): Finding => ({ packet: examples.of(state.region), message, frontend: promise.frontend.name });
  if (!findings.byDesign("mark-outlives-packet", finding)) report(check, promise, state, { claim: 10, message });
}

function foreignMark({ markBit }: CheckContext, marks: Region["mark"]): Region["mark"] {
  const bit = markBit === 1 ? 2 : 1;
  return marksWithin(marks, { care: bit, value: bit }) ?? marks;
}

function checkMarkedWay(check: CheckContext, promise: Promised, { state, ending }: EndedState): void {
  const { handling } = promise;
  const fails = (message: string) => {
    const finding = (): Finding => ({
      packet: check.examples.of(state.region),
      message,
      frontend: promise.frontend.name,
    });
    if (openQuestion(state.assumptions, check.isOwnList) !== undefined) check.findings.undecided(7, finding());
    else if (!check.findings.byDesign("whole-mark", finding)) check.findings.broken(7, finding());
  };
  if (handling.kind !== "forward") {
    const wanted = handling.kind === "refuse" ? "refused" : "dropped";
    if (ending.kind !== wanted) fails(`is ${ending.kind} instead of ${wanted}`);
    return;
  }
  if (ending.kind !== "delivered") {
    fails(`is ${ending.kind} (${ending.because})`);
    return;
  }
  const endpoint = endpointOf(check.proof, state, handling.endpoints);
  if (endpoint === undefined) {
    fails(`goes to ${describeDestination(check.proof, state)}, which is none of its endpoints`);
    return;
  }
  if (state.outInterface === undefined) return;
  const self = singleSet(check.proof.space.indexOf(endpoint.address));
  const promised =
    promise.client === "host" ? intersect(state.region.source, check.hostAddresses) : state.region.source;
  const must = handling.masquerade === "hairpin" ? intersect(state.region.source, self) : promised;
  const mustNot = handling.masquerade === "hairpin" ? subtract(state.region.source, self) : [];
  if (state.sourceNat === undefined && must.length > 0)
    fails(`reaches ${formatSocketAddress(endpoint)} with its own source`);
  if (state.sourceNat !== undefined && mustNot.length > 0)
    fails(`reaches ${formatSocketAddress(endpoint)} with a rewritten source`);
}
