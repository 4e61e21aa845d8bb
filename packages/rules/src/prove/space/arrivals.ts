import { familyOf } from "@svcproxy/topology";
import type { HostState, PolicyRule } from "../../host/host-state.ts";
import type { AddressSpace } from "./address-space.ts";
import type { IndexSet } from "./index-set.ts";
import { intersect, NOTHING, subtract, unite } from "./index-set.ts";
import { tableClasses } from "./route-classes.ts";

/** By which interface packets come in, as strict reverse-path filtering lets them, of those to some destinations. */
export interface Arrival {
  readonly destinations: IndexSet;
  /** The sources behind each interface. */
  readonly byInterface: ReadonlyMap<string, IndexSet>;
}

/** Sources and destinations of packets, and where in the policy the way back to the sources is looked for. */
interface Search {
  readonly sources: IndexSet;
  readonly destinations: IndexSet;
  readonly at: number;
}

/** A part of the sources, of packets to some destinations, with the interface that leads back to them. */
interface Home extends Omit<Search, "at"> {
  readonly device: string;
}

/**
 * By which interface packets come in: by the one that an answer to them would take, which is asked for their sources, as
 * sent from their destinations, without a mark.
 *
 * @see linux net/ipv4/fib_frontend.c, __fib_validate_source
 */
export function findArrivals(
  space: AddressSpace,
  { state, rules, senders }: { state: HostState; rules: readonly PolicyRule[]; senders: IndexSet },
): { readonly arrivals: readonly Arrival[]; readonly caveat: string | undefined } {
  const loopbacks = new Set(state.interfaces.filter(({ isLoopback }) => isLoopback).map(({ name }) => name));
  const homes: Home[] = [];
  const work: Search[] = [{ sources: senders, destinations: space.everything, at: 0 }];
  for (let search = work.pop(); search !== undefined; search = work.pop()) {
    const rule = rules[search.at];
    if (rule === undefined || search.sources.length === 0 || search.destinations.length === 0) continue;
    const { taken, passed } = select(space, rule, search);
    for (const part of passed) work.push({ ...part, at: search.at + 1 });
    for (const part of taken) follow(part, { rule, at: search.at });
  }

  function follow(part: Omit<Search, "at">, { rule, at }: { rule: PolicyRule; at: number }): void {
    const { action } = rule;
    if (action.kind === "nop") work.push({ ...part, at: at + 1 });
    else if (action.kind === "goto") {
      const target = rules.findIndex(({ priority }, place) => place > at && priority === action.priority);
      work.push({ ...part, at: target < 0 ? at + 1 : target });
    } else if (action.kind === "table") {
      let rest = part.sources;
      for (const { destinations: covered, route } of tableClasses(space, state, action)) {
        const sources = intersect(rest, covered);
        rest = subtract(rest, covered);
        if (sources.length === 0 || route?.type !== "unicast" || route.interface === undefined) continue;
        if (!loopbacks.has(route.interface)) homes.push({ ...part, sources, device: route.interface });
      }
      work.push({ ...part, sources: rest, at: at + 1 });
    }
  }

  const unsure = rules.find(
    ({ unknown, tos, inInterface }) => unknown !== undefined || tos !== undefined || inInterface !== undefined,
  );
  return {
    arrivals: byDestination(space, homes),
    caveat:
      unsure === undefined
        ? undefined
        : `by which interface packets come in hangs on ip rule ${unsure.priority} (${describeUnsure(unsure)})`,
  };
}

function describeUnsure({ unknown, tos, inInterface }: PolicyRule): string {
  return unknown ?? (tos === undefined ? `iif ${inInterface}` : `tos 0x${tos.value.toString(16)}`);
}

type Part = Omit<Search, "at">;

function select(
  space: AddressSpace,
  rule: PolicyRule,
  { sources, destinations }: Part,
): { readonly taken: readonly Part[]; readonly passed: readonly Part[] } {
  const ofFamily = (cidr: PolicyRule["from"]) =>
    cidr === undefined || familyOf(cidr.address) !== space.family ? space.everything : space.setOf(cidr);
  const never =
    rule.unknown !== undefined ||
    (rule.tos?.value ?? 0) !== 0 ||
    rule.protocol !== undefined ||
    rule.sourcePorts !== undefined ||
    rule.destinationPorts !== undefined ||
    rule.outInterface !== undefined ||
    (rule.inInterface !== undefined && rule.inInterface !== "lo") ||
    (rule.mark !== undefined && (rule.mark.value & rule.mark.mask) !== 0);
  const whole: readonly Part[] = [{ sources, destinations }];
  // What is not known of a rule is taken as for no packet: the caveat tells of it.
  if (never)
    return rule.not === true && rule.unknown === undefined
      ? { taken: whole, passed: [] }
      : { taken: [], passed: whole };
  const inside: Part = {
    sources: intersect(sources, ofFamily(rule.to)),
    destinations: intersect(destinations, ofFamily(rule.from)),
  };
  const outside: readonly Part[] = [
    { sources: subtract(sources, inside.sources), destinations },
    { sources: inside.sources, destinations: subtract(destinations, inside.destinations) },
  ];
  return rule.not === true ? { taken: outside, passed: [inside] } : { taken: [inside], passed: outside };
}

/** Cuts the destinations where the ways in differ. */
function byDestination(space: AddressSpace, homes: readonly Home[]): readonly Arrival[] {
  let parts: readonly IndexSet[] = [space.everything];
  for (const { destinations } of homes) {
    parts = parts.flatMap((part) => [intersect(part, destinations), subtract(part, destinations)]);
    parts = parts.filter((part) => part.length > 0);
  }
  return parts.map((destinations): Arrival => {
    const byInterface = new Map<string, IndexSet>();
    for (const home of homes) {
      if (intersect(home.destinations, destinations).length === 0) continue;
      byInterface.set(home.device, unite([byInterface.get(home.device) ?? NOTHING, home.sources]));
    }
    return { destinations, byInterface };
  });
}
