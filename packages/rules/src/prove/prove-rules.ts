import type { HostPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { type HostRules, hostRulesOf } from "../hooks/host-rules.ts";
import type { HostState } from "../host/host-state.ts";
import type { RuleSet } from "../rule-set.ts";
import type { CheckContext } from "./claims/check-context.ts";
import { checkElsewhere } from "./claims/check-elsewhere.ts";
import { errorsMayBeLost } from "./claims/check-errors.ts";
import { checkFrontend } from "./claims/check-frontend.ts";
import { checkLoopbackGuard } from "./claims/check-loopback-guard.ts";
import { ownListsOf } from "./claims/own-lists.ts";
import type { IsOwn } from "./claims/own-rules.ts";
import { isKubernetesRule } from "./claims/own-rules.ts";
import { arrivingClients, type FrontendSpace, frontendSpaces, mentionPlan } from "./claims/plan-frontends.ts";
import { promisedSources } from "./claims/promised-sources.ts";
import { ReplyWays } from "./claims/reply-way.ts";
import { ALL_PROTOCOLS } from "./compile/condition.ts";
import { proofContexts } from "./compile/proof-context.ts";
import type { Deviation } from "./report/deviation.ts";
import { ExamplePackets } from "./report/example-packet.ts";
import { Findings } from "./report/findings.ts";
import type { Proof, ProofPacket } from "./report/proof.ts";
import { singleSet, unite } from "./space/index-set.ts";

export interface ProveOptions {
  /** Every rule of the host in one family, the built-in chains included. */
  readonly rules: RuleSet | HostRules;
  readonly plan: HostPlan;
  readonly hostState: HostState;
  /** What who wrote the rules does otherwise than the plan, by design. Default: nothing. */
  readonly deviations?: readonly Deviation[];
  /** Whether a rule is the service proxy's own. Default: one in a chain named KUBE-…, or that jumps to one. */
  readonly isOwn?: IsOwn;
}

/**
 * Decides over all packets whether the rules carry the plan out. What a claim means, on what the answer rests and what it
 * does not cover is written in this package's README.
 *
 * @throws InputError PROOF_TOO_LARGE where the rules tell too many kinds of packets apart
 */
export function proveRules(options: ProveOptions): Proof {
  const { plan, hostState, deviations = [], isOwn = isKubernetesRule } = options;
  const { family } = options.rules;
  const [proof] = proofContexts([{ rules: options.rules, hostState }], (builder) => mentionPlan(builder, plan, family));
  if (proof === undefined) throw new TypeError("no context");
  const findings = new Findings(deviations);
  const examples = new ExamplePackets(proof, plan);
  let cases = 0;
  const clients = arrivingClients(plan, proof);
  const hostAddresses = unite(
    plan.host.addresses
      .filter((address) => familyOf(address) === family)
      .map((one) => singleSet(proof.space.indexOf(one))),
  );
  const check: CheckContext = {
    proof,
    findings,
    examples,
    replies: new ReplyWays(proof, examples),
    isOwn,
    isOwnList: ownListsOf(hostRulesOf(options.rules), isOwn),
    deviations: new Set(deviations.map(({ kind }) => kind)),
    markBit: 2 ** plan.node.masqueradeBit,
    clients,
    hostAddresses,
    promised: promisedSources(plan, proof, { clients, hostAddresses }),
    errorsMayBeLost: errorsMayBeLost(proof),
    countCases: (count) => {
      cases += count;
    },
  };
  const frontends = frontendSpaces(plan, proof);
  checkLoopbackGuard(check);
  for (const frontend of frontends) if (frontend.destination.length > 0) checkFrontend(check, frontend);
  checkElsewhere(check, frontends, plan);
  const first = frontends.find(({ destination }) => destination.length > 0);
  const { caveat } = proof.host;
  if (caveat !== undefined && first !== undefined)
    findings.undecided(2, { packet: anyClientOf(check, first), message: `${caveat}, which is not known` });
  const [unread] = hostRulesOf(options.rules).unread;
  if (unread !== undefined) {
    const message = `the rules of ${unread.table} were not read: ${unread.because}`;
    const packet = anyClientOf(check, first);
    for (const { number, status } of findings.claims(family))
      if (status === "held") findings.undecided(number, { packet, message });
  }
  const claims = findings.claims(family);
  return {
    family,
    holds: claims.every(({ status }) => status === "held"),
    claims,
    deviations: findings.deviations(),
    cases,
  };
}

/** A packet from the host to a frontend, or to anywhere where there is none. */
function anyClientOf({ proof, examples }: CheckContext, to: FrontendSpace | undefined): ProofPacket {
  return examples.of({
    source: [...proof.host.local],
    destination: to?.destination ?? proof.space.everything,
    sourcePort: [0, 65536],
    destinationPort: to === undefined ? [0, 65536] : singleSet(to.frontend.port),
    protocol: to === undefined ? ALL_PROTOCOLS : singleSet(to.protocol),
    state: [0, 1],
    mark: { within: { care: 0, value: 0 }, without: [] },
  });
}
