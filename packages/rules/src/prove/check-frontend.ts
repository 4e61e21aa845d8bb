import type { ClientKind, Endpoint, Handling } from "@svcproxy/topology";
import { formatSocketAddress } from "@svcproxy/topology";
import { ALL_PORTS, NEW_STATE } from "./compile-match.ts";
import type { ExamplePackets } from "./example-packet.ts";
import type { Findings } from "./findings.ts";
import type { IndexSet } from "./index-set.ts";
import { hasMember, intersect, onlyMember, singleSet, subtract, unite } from "./index-set.ts";
import { ANY_MARK, hasMark, marksWithin } from "./mark-set.ts";
import { openQuestion, worldsOf } from "./open-questions.ts";
import type { IsOwn } from "./own-rules.ts";
import { foreignDecision, markBitsWeTouch } from "./own-rules.ts";
import type { FrontendSpace } from "./plan-frontends.ts";
import type { ClaimNumber, Finding } from "./proof.ts";
import type { ProofContext } from "./proof-context.ts";
import type { ReplyWays } from "./reply-way.ts";
import { alikeGroups } from "./state-shares.ts";
import type { Assumption, EndedState, PlacedRule, Region, SymbolicState } from "./symbolic-state.ts";
import { enteringState, walkHost } from "./walk-host.ts";

/** What every check of one proof needs. */
export interface CheckContext {
  readonly proof: ProofContext;
  readonly findings: Findings;
  readonly examples: ExamplePackets;
  readonly replies: ReplyWays;
  readonly isOwn: IsOwn;
  /** Our bit of the mark. */
  readonly markBit: number;
  /** The sources of each kind of client among packets that arrive. */
  readonly clients: ReadonlyMap<ClientKind, IndexSet>;
  /** The host's addresses as the plan has them. */
  readonly hostAddresses: IndexSet;
  countCases(count: number): void;
}

/** One frontend for one kind of client. */
interface Promised {
  readonly frontend: FrontendSpace;
  readonly client: ClientKind;
  readonly handling: Handling;
}

/** A share may be off by so much. */
const SHARE_TOLERANCE = 1e-9;

/** Checks a frontend for every client on every entry. */
export function checkFrontend(check: CheckContext, frontend: FrontendSpace): void {
  const { proof, clients } = check;
  const local = subtract(proof.host.local, proof.host.loopback);
  const arriving = new Map([...clients].filter(([, sources]) => sources.length > 0));
  for (const [from, kinds] of [
    ["host", new Map<ClientKind, IndexSet>([["host", local]])],
    ["network", arriving],
  ] as const) {
    const everyone = unite(kinds.values());
    if (everyone.length === 0) continue;
    const ends = walkHost(proof, enteringState(regionOf(frontend, everyone), from));
    for (const [client, sources] of kinds) {
      const promise = { frontend, client, handling: frontend.frontend.clients[client] };
      const { allowed } = frontend;
      checkEnds(check, promise, ofSources(ends, allowed === undefined ? sources : intersect(sources, allowed)));
      if (allowed !== undefined) checkForbidden(check, promise, ofSources(ends, subtract(sources, allowed)));
    }
  }
}

/** What became of the packets from these sources. */
function ofSources(ends: readonly EndedState[], sources: IndexSet): readonly EndedState[] {
  const result: EndedState[] = [];
  for (const end of ends) {
    const { region } = end.state;
    const source = intersect(region.source, sources);
    if (source === region.source) result.push(end);
    else if (source.length > 0) result.push({ ...end, state: { ...end.state, region: { ...region, source } } });
  }
  return result;
}

function regionOf({ destination, protocol, frontend }: FrontendSpace, source: IndexSet): Region {
  return {
    source,
    destination,
    sourcePort: ALL_PORTS,
    destinationPort: singleSet(frontend.port),
    protocol: singleSet(protocol),
    state: NEW_STATE,
    mark: ANY_MARK,
  };
}

function checkEnds(check: CheckContext, promise: Promised, ends: readonly EndedState[]): void {
  const unmarked = ends.filter(({ state }) => hasMark(state.region.mark, 0));
  check.countCases(unmarked.length);
  if (promise.handling.kind === "forward") {
    const reached = unmarked.filter((end) => checkReached(check, promise, end));
    checkShares(check, promise, unmarked, new Set(reached.map(({ state }) => state)));
    if (promise.frontend.port.affinity !== undefined) checkAffinity(check, promise, reached);
  } else {
    for (const end of unmarked) checkTurnedAway(check, promise, end);
  }
  for (const { state, ending } of ends) checkMark(check, promise, { state, ending });
}

/** The claim that a broken promise of reaching an endpoint belongs to. */
function reachClaim({ frontend, handling }: Promised): ClaimNumber {
  if (handling.kind !== "forward") return 3;
  const { service } = frontend.port;
  const isLocal =
    frontend.frontend.kind === "clusterIP"
      ? service.internalTrafficPolicy === "Local"
      : service.externalTrafficPolicy === "Local";
  return isLocal || frontend.allowed !== undefined ? 5 : 1;
}

interface Fault {
  readonly claim: ClaimNumber;
  readonly message: string;
  readonly placed?: PlacedRule | undefined;
  readonly source?: number;
}

/** Reports a fault of the packets of a state; where it hangs on an answer that nobody knows, as undecided. */
function report(check: CheckContext, promise: Promised, state: SymbolicState, fault: Fault): void {
  const { findings, isOwn } = check;
  const finding: Finding = {
    packet: check.examples.of(state.region, fault.source === undefined ? {} : { source: fault.source }),
    message: fault.message,
    frontend: promise.frontend.name,
    ...(fault.placed === undefined ? {} : { placed: fault.placed }),
  };
  const open = openQuestion(state.assumptions);
  if (open !== undefined) {
    const message = `${fault.message}, if \`${open.question.text}\` ${open.holds ? "holds" : "does not hold"}`;
    const { placed } = open.question;
    findings.undecided(fault.claim, { ...finding, message, placed });
    if (!isOwn(placed)) findings.undecided(6, { ...finding, message, placed });
    return;
  }
  findings.broken(fault.claim, finding);
  const foreign = fault.placed !== undefined && !isOwn(fault.placed) ? fault.placed : undefined;
  if (foreign !== undefined) findings.broken(6, { ...finding, placed: foreign });
  else if (fault.message.includes("the policy of ")) findings.broken(6, finding);
}

function endpointOf(context: ProofContext, state: SymbolicState, endpoints: readonly Endpoint[]): Endpoint | undefined {
  const { destination, destinationPort } = state;
  if (typeof destination !== "number" || typeof destinationPort !== "number") return undefined;
  const address = context.space.addressAt(destination);
  return endpoints.find((endpoint) => endpoint.address === address && endpoint.port === destinationPort);
}

/** @returns whether it came to one of the endpoints */
function checkReached(check: CheckContext, promise: Promised, { state, ending }: EndedState): boolean {
  const { handling } = promise;
  if (handling.kind !== "forward") return false;
  if (ending.kind !== "delivered") {
    if (ending.kind === "undecided") {
      const { because, placed } = ending;
      const packet = check.examples.of(state.region);
      check.findings.undecided(reachClaim(promise), {
        packet,
        message: because,
        frontend: promise.frontend.name,
        ...(placed === undefined ? {} : { placed }),
      });
      return false;
    }
    const message = `is ${ending.kind} (${ending.because}) instead of reaching an endpoint`;
    report(check, promise, state, { claim: reachClaim(promise), message, placed: ending.placed });
    return false;
  }
  const endpoint = endpointOf(check.proof, state, handling.endpoints);
  if (endpoint === undefined) {
    const placed = state.destinationNat ?? foreignDecision(state, check.isOwn, isBeforeRouting);
    const message = `goes to ${describeDestination(check.proof, state)}, which is none of its endpoints`;
    report(check, promise, state, { claim: reachClaim(promise), message, placed });
    return false;
  }
  checkSource(check, promise, { state, endpoint });
  checkReply(check, promise, { state, endpoint });
  return true;
}

function describeDestination({ space }: ProofContext, { destination, destinationPort }: SymbolicState): string {
  if (typeof destination !== "number") return "the address it dialled";
  const address = space.addressAt(destination);
  return typeof destinationPort === "number" ? `${address} port ${destinationPort}` : address;
}

interface Reached {
  readonly state: SymbolicState;
  readonly endpoint: Endpoint;
}

function checkSource(check: CheckContext, promise: Promised, { state, endpoint }: Reached): void {
  const { handling, client } = promise;
  const { proof, hostAddresses } = check;
  // What stays on this host passes no POSTROUTING, and needs none.
  if (handling.kind !== "forward" || state.outInterface === undefined) return;
  const self = proof.space.indexOf(endpoint.address);
  const to = formatSocketAddress(endpoint);
  const { source } = state.region;
  if (handling.masquerade === "hairpin") {
    if (state.sourceNat === undefined && hasMember(source, self))
      report(check, promise, state, {
        claim: 2,
        message: `reaches ${to}, itself, with its own source address`,
        source: self,
      });
    const others = subtract(source, singleSet(self));
    if (state.sourceNat !== undefined && others.length > 0) {
      const part = { ...state, region: { ...state.region, source: others } };
      report(check, promise, part, {
        claim: 2,
        message: `reaches ${to} with a rewritten source, which the plan does not want`,
        placed: state.sourceNat,
      });
    }
    return;
  }
  if (state.sourceNat !== undefined) return;
  // A program of the host that binds another of its addresses needs no help from the rules: the plan knows the host's own.
  const promised = client === "host" ? intersect(source, hostAddresses) : source;
  if (promised.length === 0) return;
  const part = { ...state, region: { ...state.region, source: promised } };
  const seen = onlyMember(promised);
  const out = `leaves by ${state.outInterface} for ${to}`;
  const as = seen === undefined ? "with its own source" : `as ${proof.space.addressAt(seen)}`;
  report(check, promise, part, {
    claim: 2,
    message: `${out} ${as}, which the plan wants rewritten`,
    placed: foreignDecision(state, check.isOwn, isSourceNat),
  });
}

/** What can keep a packet from our rules: an end of nat's chain, or no tracking at all. */
function isBeforeRouting({ table, chain, rule }: PlacedRule): boolean {
  if (table === "nat") return chain !== "POSTROUTING" && chain !== "INPUT";
  return table === "raw" && rule.target.kind === "ct";
}

function isSourceNat({ table, chain }: PlacedRule): boolean {
  return table === "nat" && chain === "POSTROUTING";
}

function checkReply(check: CheckContext, promise: Promised, { state, endpoint }: Reached): void {
  for (const way of check.replies.follow(state)) {
    if (way.returns === true) continue;
    const message = `reaches ${formatSocketAddress(endpoint)}, but ${way.because}`;
    const finding = () => ({ packet: check.examples.of(way.part.region), message, frontend: promise.frontend.name });
    const isAstray =
      promise.client === "outside" && promise.frontend.frontend.kind === "clusterIP" && way.placed === undefined;
    if (way.returns === false && isAstray && check.findings.byDesign("outside-clusterip-not-masqueraded", finding))
      continue;
    if (way.returns === undefined) {
      const what = way.question === undefined ? message : `${message} (\`${way.question}\`)`;
      const placed = way.placed === undefined ? {} : { placed: way.placed };
      check.findings.undecided(2, { ...finding(), message: what, ...placed });
      if (way.placed !== undefined && !check.isOwn(way.placed))
        check.findings.undecided(6, { ...finding(), message: what, ...placed });
    } else report(check, promise, way.part, { claim: 2, message, placed: way.placed });
  }
}

/** New clients, whom no affinity remembers, get each endpoint with its share. */
function checkShares(
  check: CheckContext,
  promise: Promised,
  ends: readonly EndedState[],
  reached: ReadonlySet<SymbolicState>,
): void {
  const { handling } = promise;
  if (handling.kind !== "forward") return;
  const wanted = 1 / handling.endpoints.length;
  const newClients = ends.map(({ state }) => state).filter(({ assumptions }) => !isRemembered(assumptions));
  for (const world of worldsOf(newClients)) {
    // Where one does not arrive, that was said already.
    if (world.some((state) => !reached.has(state))) continue;
    for (const group of alikeGroups(world.map((state) => ({ state })))) {
      const shares = new Map<string, number>();
      for (const { state } of group.items) {
        const endpoint = endpointOf(check.proof, state, handling.endpoints);
        if (endpoint === undefined) continue;
        const to = formatSocketAddress(endpoint);
        shares.set(to, (shares.get(to) ?? 0) + state.probability);
      }
      const asked = group.items.find(({ state }) => openQuestion(state.assumptions) !== undefined) ?? group.items[0];
      if (asked === undefined) continue;
      for (const endpoint of handling.endpoints) {
        const to = formatSocketAddress(endpoint);
        const share = shares.get(to) ?? 0;
        if (Math.abs(share - wanted) <= SHARE_TOLERANCE) continue;
        const message = `reaches ${to} with share ${share.toFixed(9)} instead of 1/${handling.endpoints.length}`;
        report(check, promise, { ...asked.state, region: group.region }, { claim: reachClaim(promise), message });
      }
    }
  }
}

function isRemembered(assumptions: Assumption | undefined): boolean {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.recent !== undefined && one.holds) return true;
  return false;
}

/** A client that was here before goes where it went, and each that comes is written down. */
function checkAffinity(check: CheckContext, promise: Promised, reached: readonly EndedState[]): void {
  const { handling, frontend } = promise;
  if (handling.kind !== "forward") return;
  const timeout = frontend.port.affinity?.timeoutSeconds;
  const lists = new Map<string, Endpoint>();
  for (const { state } of reached) {
    const endpoint = endpointOf(check.proof, state, handling.endpoints);
    if (endpoint === undefined) continue;
    const list = state.remembered?.list;
    if (list === undefined) {
      const message = `reaches ${formatSocketAddress(endpoint)} without being remembered, so its next connection may go elsewhere`;
      report(check, promise, state, { claim: 5, message });
    } else if (!isRemembered(state.assumptions)) lists.set(list, endpoint);
  }
  const asked = new Set<string>();
  for (const { state } of reached) {
    const recent = rememberedBy(state.assumptions);
    const endpoint = endpointOf(check.proof, state, handling.endpoints);
    if (recent === undefined || endpoint === undefined) continue;
    asked.add(recent.list);
    const wanted = lists.get(recent.list);
    if (wanted !== undefined && (wanted.address !== endpoint.address || wanted.port !== endpoint.port)) {
      const message = `reaches ${formatSocketAddress(endpoint)} though it was at ${formatSocketAddress(wanted)} before`;
      report(check, promise, state, { claim: 5, message });
    }
    if (recent.seconds !== timeout) {
      const message = `is remembered for ${recent.seconds ?? "any number of"} seconds instead of ${timeout}`;
      report(check, promise, state, { claim: 5, message });
    }
  }
  const [first] = reached;
  for (const [list, endpoint] of lists) {
    if (asked.has(list) || first === undefined) continue;
    const message = `is remembered at ${formatSocketAddress(endpoint)}, but no rule asks for it`;
    report(check, promise, first.state, { claim: 5, message });
  }
}

/** The list on which the client was found: the one that decided. */
function rememberedBy(assumptions: Assumption | undefined): { list: string; seconds: number | undefined } | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.holds && one.question.recent !== undefined) return one.question.recent;
  return undefined;
}

function checkTurnedAway(check: CheckContext, promise: Promised, { state, ending }: EndedState): void {
  const { handling } = promise;
  const wanted = handling.kind === "refuse" ? "refused" : "dropped";
  if (ending.kind === wanted) return;
  if (ending.kind === "undecided") {
    check.findings.undecided(3, {
      packet: check.examples.of(state.region),
      message: ending.because,
      frontend: promise.frontend.name,
    });
    return;
  }
  const fate =
    ending.kind === "delivered"
      ? `goes to ${describeDestination(check.proof, state)}`
      : `is ${ending.kind} (${ending.because})`;
  const why =
    handling.kind === "refuse"
      ? "it has no endpoint: it should be refused at once"
      : "its endpoints are elsewhere: it should be dropped";
  const isOut = promise.client === "host" && ending.kind === "delivered" && state.destinationNat === undefined;
  const isExternal = ["externalIP", "loadBalancerIP"].includes(promise.frontend.frontend.kind);
  const finding = (): Finding => ({
    packet: check.examples.of(state.region),
    message: `${fate}, and is not ${wanted}`,
    frontend: promise.frontend.name,
  });
  if (isOut && isExternal && check.findings.byDesign("host-to-external-not-refused", finding)) return;
  const placed =
    "placed" in ending ? ending.placed : (state.destinationNat ?? foreignDecision(state, check.isOwn, isBeforeRouting));
  report(check, promise, state, { claim: 3, message: `${fate}, but ${why}`, placed });
}

/** Clients outside of the source ranges get nothing. */
function checkForbidden(check: CheckContext, promise: Promised, ends: readonly EndedState[]): void {
  for (const { state, ending } of ends) {
    if (!hasMark(state.region.mark, 0) || ending.kind === "dropped") continue;
    check.countCases(1);
    if (ending.kind === "refused" && promise.handling.kind !== "forward") continue;
    const fate =
      ending.kind === "delivered"
        ? `goes to ${describeDestination(check.proof, state)}`
        : `is ${ending.kind} (${ending.because})`;
    report(check, promise, state, {
      claim: 5,
      message: `${fate}, but its source may not use this frontend`,
      placed: state.destinationNat,
    });
  }
}

/** Whatever mark of others a packet brings: it is kept, and changes nothing. */
function checkMark(check: CheckContext, promise: Promised, { state, ending }: EndedState): void {
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
    if (openQuestion(state.assumptions) !== undefined) check.findings.undecided(7, finding());
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
