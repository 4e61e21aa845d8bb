import { visitedTables } from "../../effects/rule-effect.ts";
import type { Match } from "../../match.ts";
import type { Chain, PlacedRule, RuleSet } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import { inKernelOrder } from "../../trace/match/evaluate-match.ts";
import type { IndexSet } from "../space/index-set.ts";
import { onlyMember } from "../space/index-set.ts";
import { compileMatch } from "./compile-match.ts";
import type { CompileContext, Condition } from "./condition.ts";

/** A rule with its conditions as sets. */
export interface CompiledRule {
  readonly placed: PlacedRule;
  readonly conditions: readonly Condition[];
  readonly target: Target;
}

/** A chain with an index: most rules of a service proxy are for one address, or for one port. */
export interface CompiledChain {
  readonly name: string;
  readonly policy: "ACCEPT" | "DROP" | undefined;
  readonly rules: readonly CompiledRule[];
  /** Places of the rules that ask for one destination only, by its piece. */
  readonly byDestination: ReadonlyMap<number, readonly number[]>;
  /** Every piece in `byDestination`. */
  readonly destinations: readonly number[];
  /** Places of the rules that ask for no single destination, but for one destination port only. */
  readonly byPort: ReadonlyMap<number, readonly number[]>;
  readonly portPlaces: readonly number[];
  /** Places of all others. */
  readonly others: readonly number[];
}

export type CompiledTables = ReadonlyMap<string, ReadonlyMap<string, CompiledChain>>;

export function compileRuleSet(ruleSet: RuleSet, context: CompileContext): CompiledTables {
  // The reader gives equal matches one value, so that each is compiled once.
  const known = new Map<Match, readonly Condition[]>();
  const conditionsOf = (match: Match) => {
    let conditions = known.get(match);
    if (conditions === undefined) {
      conditions = compileMatch(match, context);
      known.set(match, conditions);
    }
    return conditions;
  };
  return new Map(
    visitedTables(ruleSet).map(({ name, chains }) => [
      name,
      new Map(chains.map((chain) => [chain.name, compileChain(name, chain, conditionsOf)])),
    ]),
  );
}

function compileChain(
  table: string,
  { name, policy, rules }: Chain,
  conditionsOf: (match: Match) => readonly Condition[],
): CompiledChain {
  const compiled = rules.map((rule, place): CompiledRule => {
    const conditions: Condition[] = [];
    for (const match of inKernelOrder(rule.matches)) conditions.push(...conditionsOf(match));
    return { placed: { table, chain: name, number: place + 1, rule }, conditions, target: rule.target };
  });
  const byDestination = new Map<number, number[]>();
  const byPort = new Map<number, number[]>();
  const portPlaces: number[] = [];
  const others: number[] = [];
  for (const [place, rule] of compiled.entries()) {
    const destination = onlyValue(rule, "destination");
    const port = destination === undefined ? onlyValue(rule, "destinationPort") : undefined;
    if (destination !== undefined) pushTo(byDestination, destination, place);
    else if (port === undefined) others.push(place);
    else {
      pushTo(byPort, port, place);
      portPlaces.push(place);
    }
  }
  const destinations = [...byDestination.keys()];
  return { name, policy, rules: compiled, byDestination, destinations, byPort, portPlaces, others };
}

/** Below this many rules an index does not pay. */
const INDEX_AT = 8;

/** Whether it is worth while to look for a packet's rules by its destination. */
export function isIndexed({ rules }: CompiledChain): boolean {
  return rules.length >= INDEX_AT;
}

function onlyValue({ conditions }: CompiledRule, field: "destination" | "destinationPort"): number | undefined {
  for (const condition of conditions) {
    if (condition.kind !== "field" || condition.field !== field) continue;
    const only: number | undefined = onlyMember(condition.set satisfies IndexSet);
    if (only !== undefined) return only;
  }
  return undefined;
}

function pushTo(map: Map<number, number[]>, key: number, place: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [place]);
  else list.push(place);
}
