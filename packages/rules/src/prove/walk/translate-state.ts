import { addressWidth, formatCidr } from "@svcproxy/topology";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Hook } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { hasMember, type IndexSet, intersect, isEmpty } from "../space/index-set.ts";
import type { EndedState, SymbolicState } from "./symbolic-state.ts";

export type NatTarget = Extract<Target, { kind: "dnat" | "snat" | "masquerade" | "redirect" | "netmap" }>;

export function translate(
  { context, hook }: { readonly context: ProofContext; readonly hook: Hook },
  state: SymbolicState,
  { target, placed }: { target: NatTarget; placed: PlacedRule },
): readonly (SymbolicState | EndedState)[] {
  const fail = (because: string): readonly EndedState[] => [{ state, ending: { kind: "undecided", because, placed } }];
  switch (target.kind) {
    case "dnat":
    case "snat": {
      const { addresses, ports } = target.to;
      if (addresses !== undefined && addresses.from !== addresses.to)
        return fail(`which address of ${addresses.from}-${addresses.to} it gets is not known`);
      const address = addresses === undefined ? undefined : context.space.indexOf(addresses.from);
      // A destination port is drawn from a range only.
      const drawn = target.kind === "snat" && (target.to.random || target.to.randomFully);
      const port =
        ports === undefined ? (drawn ? "unknown" : undefined) : ports.from === ports.to ? ports.from : "unknown";
      return [translated(state, { end: target.kind === "dnat" ? "destination" : "source", address, port, placed })];
    }
    case "masquerade": {
      if (state.outInterface === undefined) return fail("MASQUERADE needs an outgoing interface");
      const drawn = target.random || target.randomFully || target.ports !== undefined;
      const port = drawn ? "unknown" : undefined;
      const given = context.masqueraded(state.outInterface, state.route);
      return byDestination(state, given).map(({ part, given: address }) => {
        if (address === "unknown") return { state: part, ending: { ...MASQUERADE_UNKNOWN, placed } };
        if (address !== undefined) return translated(part, { end: "source", address, port, placed });
        const because = `MASQUERADE finds no address on ${state.outInterface}`;
        return { state: part, ending: { kind: "dropped", because, placed } };
      });
    }
    case "netmap": {
      if (target.to.prefixLength < addressWidth(context.space.family))
        return fail(`which address of ${formatCidr(target.to)} it gets hangs on its own`);
      const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
      const address = context.space.indexOf(target.to.address);
      return [translated(state, { end, address, port: undefined, placed })];
    }
    case "redirect": {
      const drawn = target.ports !== undefined && target.ports.from !== target.ports.to;
      const port = drawn ? "unknown" : target.ports?.from;
      return redirected(context, state, hook).map(({ part, address }) =>
        address === undefined
          ? { state: part, ending: { kind: "dropped", because: "REDIRECT finds no address", placed } }
          : translated(part, { end: "destination", address, port, placed }),
      );
    }
  }
}

/** Whether NAT was set up for the connection of a state's packets. */
function isTranslated({ destinationNat, sourceNat }: SymbolicState): boolean {
  return destinationNat !== undefined || sourceNat !== undefined;
}

/** Whether NAT maps packets of an older connection by what was set up for it, as it does with its answers and errors about it. */
export function isMapped(state: SymbolicState): boolean {
  const { direction, follows } = state;
  if (follows !== undefined) return follows.source !== "source" || follows.destination !== "destination";
  return direction === "REPLY" && isTranslated(state);
}

const MASQUERADE_UNKNOWN = {
  kind: "undecided",
  because: "which address MASQUERADE gives hangs on where it goes",
} as const;

/** Parts of a state, each with what its destinations are given. */
function byDestination(
  state: SymbolicState,
  given: ReadonlyMap<number | undefined, IndexSet>,
): readonly { readonly part: SymbolicState; readonly given: number | undefined | "unknown" }[] {
  const { destination, region } = state;
  const [only] = given.keys();
  if (given.size === 1) return [{ part: state, given: only }];
  if (destination === "unknown") return [{ part: state, given: "unknown" }];
  if (typeof destination === "number") {
    const [found] = [...given].filter(([, set]) => hasMember(set, destination));
    return [{ part: state, given: found?.[0] }];
  }
  return [...given].flatMap(([address, set]) => {
    const now = intersect(region[destination], set);
    return isEmpty(now) ? [] : [{ part: { ...state, region: { ...region, [destination]: now } }, given: address }];
  });
}

/** REDIRECT goes to an address of the interface by which the packet came. */
function redirected(
  { redirectIndex }: ProofContext,
  state: SymbolicState,
  hook: Hook,
): readonly { part: SymbolicState; address: number | undefined }[] {
  const { inInterface } = state;
  if (hook === "OUTPUT") return [{ part: state, address: redirectIndex(undefined) }];
  if (inInterface?.kind !== "bySource") return [{ part: state, address: redirectIndex(inInterface?.name ?? "") }];
  return [...inInterface.arriving].flatMap(([device, sources]) => {
    const source = intersect(state.region.source, sources);
    if (source.length === 0) return [];
    return [{ part: { ...state, region: { ...state.region, source } }, address: redirectIndex(device) }];
  });
}

function translated(
  state: SymbolicState,
  {
    end,
    address,
    port,
    placed,
  }: {
    end: "source" | "destination";
    address: number | undefined;
    port: number | "unknown" | undefined;
    placed: PlacedRule;
  },
): SymbolicState {
  return end === "destination"
    ? {
        ...state,
        destination: address ?? state.destination,
        destinationPort: port ?? state.destinationPort,
        destinationNat: placed,
      }
    : { ...state, source: address ?? state.source, sourcePort: port ?? state.sourcePort, sourceNat: placed };
}
