import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS, ALL_PROTOCOLS } from "../compile/condition.ts";
import type { Finding } from "../report/proof.ts";
import { hasMember, singleSet, unite } from "../space/index-set.ts";
import { ANY_MARK, marksWithin } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import type { EndedState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import type { CheckContext } from "./check-context.ts";
import { foreignDecision } from "./own-rules.ts";

const NEW = CONNECTION_STATES.indexOf("NEW");

/** Packets that belong to no connection which the host itself began. */
const STRANGE_STATES = unite(
  (["NEW", "INVALID", "UNTRACKED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))),
);

/**
 * Services that listen on 127.0.0.0/8 count on being out of reach. With `route_localnet`, which NodePorts on localhost
 * need, nothing but rules keeps neighbours away from them.
 */
export function checkLoopbackGuard(check: CheckContext): void {
  const { proof } = check;
  if (proof.space.family === 6) return;
  const mark = marksWithin(ANY_MARK, { care: check.markBit, value: 0 }) ?? ANY_MARK;
  const region: Region = {
    source: unite(proof.host.arriving.values()),
    destination: proof.host.loopback,
    sourcePort: ALL_PORTS,
    destinationPort: ALL_PORTS,
    protocol: ALL_PROTOCOLS,
    state: STRANGE_STATES,
    mark,
  };
  if (region.source.length === 0) return;
  const isNew = ({ state }: EndedState) => hasMember(state.region.state, NEW);
  // A packet that people would think of is shown first.
  const ends = walkHost(proof, enteringState(region, "network")).toSorted(
    (a, b) => Number(isNew(b)) - Number(isNew(a)),
  );
  for (const { state, ending } of ends) {
    check.countCases(1);
    const placed = "placed" in ending ? ending.placed : foreignDecision(state, check.isOwn);
    const finding = (message: string): Finding => ({
      packet: check.examples.of(state.region),
      message,
      ...(placed === undefined ? {} : { placed }),
    });
    if (ending.kind === "undecided") check.findings.undecided(8, finding(ending.because));
    // What is mapped to an endpoint does not come to the host's own programs.
    if (ending.kind !== "delivered" || state.outInterface !== undefined || state.destinationNat !== undefined) continue;
    const message = "comes in from a neighbour and is handed to a program that listens on the loopback only";
    if (state.assumptions === undefined) check.findings.broken(8, finding(message));
    else {
      const { question, holds } = state.assumptions;
      check.findings.undecided(8, finding(`${message}, if \`${question.text}\` ${holds ? "holds" : "does not hold"}`));
    }
  }
}
