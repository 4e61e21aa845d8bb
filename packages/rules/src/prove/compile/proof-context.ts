import type { Cidr, Family, IpAddress } from "@svcproxy/topology";
import { addressBits, addressWidth, cidrOf, familyOf, inputError, parseIpAddress } from "@svcproxy/topology";
import { type HookStage, hookStages } from "../../hooks/hook-order.ts";
import { type HostRules, hostRulesOf } from "../../hooks/host-rules.ts";
import type { HostState, Route } from "../../host/host-state.ts";
import { masqueradeAddress, masqueradeBlocks, redirectAddress } from "../../host/masquerade-address.ts";
import { createRouter, type HostView } from "../../host/routing.ts";
import { nftAsksForConnection, nftAsksForTuple, nftGivesZone } from "../../nft/prove/nft-asks-for-connection.ts";
import { SetMemory } from "../../nft/prove/set-memory.ts";
import type { Rule, RuleSet } from "../../rule-set.ts";
import type { AddressSpace } from "../space/address-space.ts";
import { AddressSpaceBuilder } from "../space/address-space.ts";
import type { HostSpace } from "../space/host-space.ts";
import { hostSpaceOf, mentionHost } from "../space/host-space.ts";
import { type IndexSet, rangeSet, unite } from "../space/index-set.ts";
import { mentionNft } from "../space/mention-nft.ts";
import { mentionRules } from "../space/mention-rules.ts";
import { compilePolicy, type PolicyStep } from "./compile-policy.ts";
import { compileStages, type SymbolicStages } from "./compile-stages.ts";

/** Rules and host as sets: all that stays the same during one proof. */
export interface ProofContext {
  readonly space: AddressSpace;
  readonly host: HostSpace;
  readonly view: HostView;
  /** What the kernel does at each hook, in its order. */
  readonly stages: SymbolicStages;
  /** The rules by which routes are looked for, where they look at more than the destination; else empty. */
  readonly policy: readonly PolicyStep[];
  /** Whether a table other than nat has anything to say. */
  readonly filters: boolean;
  /** Whether a rule looks at what is known of new connections only: TCP flags, a connection's mark, labels or counts. */
  readonly asksForConnection: boolean;
  /** Whether a rule looks at the addresses, ports, protocol or direction of connections. */
  readonly asksForTuple: boolean;
  /** Whether a rule gives packets a conntrack zone. */
  readonly givesZones: boolean;
  /** The mask under which each `recent` list keeps addresses, where it is not the whole address. */
  readonly listMasks: ReadonlyMap<string, IpAddress>;
  /** Whether ends are to tell what targets did besides. */
  readonly tellsDeeds: boolean;
  /** What maps that rules of nftables write may have in them. */
  readonly memory: SetMemory;
  /** The pieces of the addresses that MASQUERADE gives, each with the destinations that get it; undefined: none is found. */
  masqueraded(outInterface: string, route: Route | undefined): ReadonlyMap<number | undefined, IndexSet>;
  /** The piece that REDIRECT leads to for what came in by the interface; undefined: for what the host sends. */
  redirectIndex(device: string | undefined): number | undefined;
  /** Counts one step. @throws InputError PROOF_TOO_LARGE where there were too many */
  count(at?: { readonly table: string; readonly chain: string }): void;
}

/** More sets of packets than these are not kept apart at once: that is some 400 MB. */
const MAX_KINDS = 300_000;

/** @throws InputError PROOF_TOO_LARGE where a chain tells too many kinds of packets apart */
export function boundKinds(count: number, { table, chain }: { readonly table: string; readonly chain: string }): void {
  if (count > MAX_KINDS)
    throw inputError(
      "PROOF_TOO_LARGE",
      `Too large to decide: the chain ${chain} of table ${table} tells more than ${MAX_KINDS} kinds of packets apart`,
    );
}

export interface ProofInput {
  readonly rules: RuleSet | HostRules;
  readonly hostState: HostState;
  readonly tellsDeeds?: boolean;
}

/** So many times a rule is asked of a set of packets before a proof gives up: about a minute. */
const MAX_STEPS = 60_000_000;

/**
 * Cuts the addresses where the rules, the host or `mention` tell them apart, and turns all of it into sets.
 *
 * @param others further rule sets that are to share the address space
 */
export function proofContexts(
  inputs: readonly ProofInput[],
  mention: (builder: AddressSpaceBuilder) => void = () => {},
): readonly ProofContext[] {
  const family = inputs[0]?.rules.family ?? 4;
  const builder = new AddressSpaceBuilder(family);
  for (const { rules, hostState } of inputs) {
    mentionHost(builder, hostState, family);
    const { iptables, nft } = hostRulesOf(rules);
    for (const backend of iptables) mentionRules(builder, backend.rules);
    mentionNft(builder, nft);
  }
  mention(builder);
  const space = builder.build();
  return inputs.map((input) => createContext(input, space));
}

function createContext({ rules, hostState, tellsDeeds = false }: ProofInput, space: AddressSpace): ProofContext {
  const { family } = space;
  const hostRules = hostRulesOf(rules);
  const stages = hookStages(hostRules);
  const iptables = hostRules.iptables.flatMap((backend) =>
    backend.rules.tables.flatMap(({ chains }) => chains.flatMap((chain) => chain.rules)),
  );
  const nft = hostRules.nft.tables.flatMap(({ chains }) =>
    chains.flatMap((chain) => chain.rules.flatMap(({ statements }) => statements)),
  );
  const view: HostView = { state: hostState, router: createRouter(hostState) };
  const host = hostSpaceOf(space, hostState);
  const tellingMasquerades = [
    ...masqueradeBlocks(hostState, family),
    ...hostState.interfaces.flatMap(({ addresses }) =>
      addresses.flatMap(({ address }) => (familyOf(address) === family ? [cidrOf(address, addressWidth(family))] : [])),
    ),
  ];
  const masquerades = new Map<string, ReadonlyMap<number | undefined, IndexSet>>();
  let steps = 0;
  const loopback = parseIpAddress(family === 4 ? "127.0.0.1" : "::1");
  const pieceOf = (address: IpAddress | undefined) => (address === undefined ? undefined : space.indexOf(address));
  return {
    space,
    host,
    view,
    listMasks: listMasksOf(iptables, family),
    tellsDeeds,
    memory: new SetMemory(),
    policy: host.routes === undefined ? compilePolicy(space, hostState) : [],
    stages: compileStages(stages, { space, host, view, labelsSet: labelsSetBy(iptables) }),
    filters: Object.values(stages).some((hook) => hook.some(hasToSay)),
    asksForConnection: iptables.some(asksForConnection) || nft.some(nftAsksForConnection),
    givesZones:
      iptables.some(({ target }) => target.kind === "ct" && target.zone !== undefined) || nft.some(nftGivesZone),
    asksForTuple: iptables.some(asksForTuple) || nft.some(nftAsksForTuple),
    masqueraded(outInterface, route) {
      const gateway = route?.gateway !== undefined && familyOf(route.gateway) === family ? route.gateway : undefined;
      const key = `${outInterface} ${gateway ?? ""}`;
      let known = masquerades.get(key);
      if (known === undefined) {
        const givenTo = (destination: IpAddress) =>
          pieceOf(masqueradeAddress(view, { outInterface, nextHop: gateway ?? destination, destination }));
        known = divide(space, { blocks: family === 4 && gateway !== undefined ? [] : tellingMasquerades, by: givenTo });
        masquerades.set(key, known);
      }
      return known;
    },
    redirectIndex: (device) => pieceOf(device === undefined ? loopback : redirectAddress(view, family, device)),
    count(at) {
      if (++steps > MAX_STEPS)
        throw inputError(
          "PROOF_TOO_LARGE",
          `Too large to decide: more than ${MAX_STEPS} steps were needed${at === undefined ? "" : `, as far as the chain ${at.chain} of table ${at.table}`}`,
        );
    },
  };
}

/** The addresses by what becomes of each, which no two of one piece differ in that the blocks do not tell apart. */
function divide<Kind>(
  space: AddressSpace,
  { blocks, by }: { readonly blocks: readonly Cidr[]; readonly by: (address: IpAddress) => Kind },
): ReadonlyMap<Kind, IndexSet> {
  const cuts = [...new Set([0, ...blocks.flatMap((block) => space.setOf(block)), space.size])].sort((a, b) => a - b);
  const parts = cuts.slice(0, -1).map((from, place) => ({ from, end: cuts[place + 1] ?? from }));
  const byKind = Map.groupBy(parts, ({ from }) => by(space.addressAt(from)));
  return new Map([...byKind].map(([kind, own]) => [kind, unite(own.map(({ from, end }) => rangeSet(from, end)))]));
}

function asksForConnection({ matches, target }: Rule): boolean {
  if (target.kind === "connmark") return true;
  return matches.some(
    (match) =>
      ["connmark", "helper", "connbytes", "connlabel"].includes(match.kind) ||
      (match.kind === "tcp" && match.flags !== undefined),
  );
}

/** The options of `-m conntrack` that conntrack answers by more than a packet's state. */
const TUPLE_OPTIONS = [
  ...(["originalSource", "originalDestination", "originalSourcePorts", "originalDestinationPorts"] as const),
  ...(["direction", "protocol"] as const),
];

function asksForTuple({ matches }: Rule): boolean {
  return matches.some(
    (match) => match.kind === "conntrack" && TUPLE_OPTIONS.some((option) => match[option] !== undefined),
  );
}

/** Whether a stage other than NAT's may do something to a packet. */
function hasToSay({ kind }: HookStage): boolean {
  return kind !== "nat" && kind !== "conntrack";
}

/** The first rule that names a list makes it, with the mask that it says; what later ones say of it makes no difference. */
function listMasksOf(rules: readonly Rule[], family: Family): ReadonlyMap<string, IpAddress> {
  const masks = new Map<string, IpAddress | undefined>();
  for (const { matches } of rules) {
    for (const match of matches)
      if (match.kind === "recent" && !masks.has(match.name)) masks.set(match.name, match.mask);
  }
  const whole = (1n << BigInt(addressWidth(family))) - 1n;
  return new Map(
    [...masks].flatMap(([list, mask]) => (mask === undefined || addressBits(mask) === whole ? [] : [[list, mask]])),
  );
}

function labelsSetBy(rules: readonly Rule[]): ReadonlySet<string> {
  const matches = rules.flatMap((rule) => rule.matches);
  return new Set(matches.flatMap((match) => (match.kind === "connlabel" && match.set ? [match.label] : [])));
}
