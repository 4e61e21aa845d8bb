import type { CompiledChain, CompiledRule } from "../compile/compile-rules.ts";
import { isIndexed } from "../compile/compile-rules.ts";
import { hasMember, intersect, onlyMember, singleSet, subtract, unite } from "../space/index-set.ts";
import type { Field, SymbolicState } from "./symbolic-state.ts";

/** Splits off each destination for which a large chain has rules of its own, so that each part asks few rules. */
export function partsByDestination(chain: CompiledChain, state: SymbolicState): readonly SymbolicState[] {
  const field = state.destination;
  if (!isIndexed(chain) || (field !== "destination" && field !== "source")) return [state];
  const set = state.region[field];
  if (onlyMember(set) !== undefined) return [state];
  const keys = chain.destinations.filter(
    (key) =>
      hasMember(set, key) && (chain.byDestination.get(key) ?? []).some((place) => mayTake(chain.rules[place], state)),
  );
  if (keys.length === 0) return [state];
  // What is left asks for none of these rules, though it may still hold destinations of rules that cannot take it.
  const rest = subtract(set, unite(keys.map(singleSet)));
  const parts = keys.map((key) => ({ ...state, region: { ...state.region, [field]: singleSet(key) } }));
  return rest.length === 0 ? parts : [...parts, { ...state, region: { ...state.region, [field]: rest } }];
}

/** Places of the rules that may take a packet of the state, in order; undefined: all. */
export function placesFor(chain: CompiledChain, state: SymbolicState): readonly number[] | undefined {
  if (!isIndexed(chain)) return undefined;
  const destination = onlyValue(state, state.destination);
  const ofDestination = destination === undefined ? [] : (chain.byDestination.get(destination) ?? []);
  if (state.destination === "unknown") return undefined;
  const port = onlyValue(state, state.destinationPort);
  const ofPort = port === undefined ? chain.portPlaces : (chain.byPort.get(port) ?? []);
  return [...ofDestination, ...ofPort, ...chain.others].sort((a, b) => a - b);
}

/** Whether all packets of a state go to the same port now. */
export function hasOnePort(state: SymbolicState): boolean {
  return onlyValue(state, state.destinationPort) !== undefined;
}

/** Whether a rule's protocol and port leave anything of a state; what is cheap to ask first. */
function mayTake(rule: CompiledRule | undefined, state: SymbolicState): boolean {
  return (rule?.conditions ?? []).every((condition) => {
    if (condition.kind === "entered" && condition.field === "protocol")
      return intersect(state.region.protocol, condition.set).length > 0;
    if (condition.kind !== "field" || condition.field !== "destinationPort") return true;
    const port = state.destinationPort;
    if (typeof port === "number") return hasMember(condition.set, port);
    return port === "unknown" || intersect(state.region[port], condition.set).length > 0;
  });
}

function onlyValue({ region }: SymbolicState, field: Field): number | undefined {
  if (typeof field === "number") return field;
  return field === "unknown" ? undefined : onlyMember(region[field]);
}
