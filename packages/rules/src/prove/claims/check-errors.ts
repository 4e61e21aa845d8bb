import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { isSubset, singleSet, unite } from "../space/index-set.ts";
import { ANY_MARK } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import type { CheckContext, Promised, Reached } from "./check-context.ts";
import { TOO_BIG } from "./reply-way.ts";
import { report } from "./report-fault.ts";

const RELATED = singleSet(CONNECTION_STATES.indexOf("RELATED"));

/**
 * Whether a rule stops any ICMP error that belongs to a connection, from anyone to anyone. Where none does, those of served
 * connections get through, whatever NAT maps them to. Fragments are put together before the first rule sees them.
 */
export function errorsMayBeLost(proof: ProofContext): boolean {
  const { host, space } = proof;
  // In which zone a connection is looked for, each has to tell.
  if (proof.givesZones) return true;
  return (["host", "network"] as const).some((from) => {
    const region: Region = {
      source: from === "host" ? host.local : unite(host.arriving.values()),
      destination: space.everything,
      sourcePort: ALL_PORTS,
      destinationPort: ALL_PORTS,
      protocol: singleSet(TOO_BIG[space.family].protocol),
      state: RELATED,
      mark: ANY_MARK,
    };
    if (region.source.length === 0) return false;
    const error = {
      ...enteringState(region, from),
      direction: "REPLY" as const,
      refusal: TOO_BIG[space.family],
      awaitedIn: 0,
      follows: { source: "source", destination: "destination" } as const,
      // Of the connection nothing is known yet.
      isErrorAbout: true as const,
      connectionMark: undefined,
    };
    return walkHost(proof, error).some(
      ({ state, ending }) =>
        "placed" in ending ||
        ("because" in ending && ending.because.startsWith("the policy of ")) ||
        // Of what conntrack does not find NAT maps nothing.
        state.conntrack === "untracked" ||
        !isSubset(state.region.state, RELATED),
    );
  });
}

/** Follows the errors about one endpoint's answers, and about what is sent to it. */
export function checkErrors(check: CheckContext, promise: Promised, { state }: Reached): void {
  if (!check.errorsMayBeLost) return;
  for (const way of check.replies.followErrors(state)) {
    if (way.returns === true) continue;
    const { part, placed, question } = way;
    if (placed === undefined && !way.because.includes("the policy of ")) continue;
    const message = `is served, but ${way.because}`;
    if (way.returns === false) report(check, promise, part, { claim: 9, message, placed });
    else {
      const told = question === undefined ? message : `${message} (\`${question}\`)`;
      const finding = { packet: check.examples.of(part.region), message: told, frontend: promise.frontend.name };
      check.findings.undecided(9, placed === undefined ? finding : { ...finding, placed });
    }
  }
}
