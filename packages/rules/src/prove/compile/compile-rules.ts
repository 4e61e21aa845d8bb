import { type AnyRule, isNftRule, type PlacedRule } from "../../hooks/any-rule.ts";
import type { RuleChain } from "../../hooks/hook-order.ts";
import type { Match } from "../../match.ts";
import type { Rule } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import { inKernelOrder } from "../../trace/match/evaluate-match.ts";
import type { IndexSet } from "../space/index-set.ts";
import { onlyMember } from "../space/index-set.ts";
import { compileMatch } from "./compile-match.ts";
import { type CompileContext, type Condition, openQuestion } from "./condition.ts";

/** A rule with its conditions as sets. */
export interface CompiledRule {
  readonly placed: PlacedRule;
  readonly conditions: readonly Condition[];
  readonly target: Target;
}

/** A chain with an index: most rules of a service proxy are for one address, or for one port. */
export interface CompiledChain {
  readonly name: string;
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

type ConditionsOf = (match: Match) => readonly Condition[];

/** Compiles the chains of tables, each table once. */
export class RuleCompiler {
  readonly #conditionsOf: ConditionsOf;
  readonly #tables = new Map<ReadonlyMap<string, RuleChain>, ReadonlyMap<string, CompiledChain>>();

  constructor(context: CompileContext) {
    // The reader gives equal matches one value, so that each is compiled once.
    const known = new Map<Match, readonly Condition[]>();
    this.#conditionsOf = (match) => {
      let conditions = known.get(match);
      if (conditions === undefined) {
        conditions = matchConditions(match, context);
        known.set(match, conditions);
      }
      return conditions;
    };
  }

  /** @param table as it is called in findings */
  chainsOf(table: string, chains: ReadonlyMap<string, RuleChain>): ReadonlyMap<string, CompiledChain> {
    let compiled = this.#tables.get(chains);
    if (compiled === undefined) {
      compiled = new Map(
        [...chains.values()].map((chain) => [chain.name, compileChain(table, chain, this.#conditionsOf)]),
      );
      this.#tables.set(chains, compiled);
    }
    return compiled;
  }
}

/** Of a connection that is a template yet no more is known than its state. */
function matchConditions(match: Match, context: CompileContext): readonly Condition[] {
  const conditions = compileMatch(match, context);
  if (!asksMoreThanState(match)) return conditions;
  const open = openQuestion(match, context.space.family);
  return conditions.map((condition, place) => ({ ...condition, onTemplate: place === 0 ? open : "asked" }));
}

function asksMoreThanState(match: Match): boolean {
  if (match.kind === "conntrack")
    return Object.entries(match).some(([key, part]) => key !== "kind" && key !== "states" && part !== undefined);
  return match.kind === "connmark" || match.kind === "connlabel";
}

function compileChain(table: string, { name, rules }: RuleChain, conditionsOf: ConditionsOf): CompiledChain {
  const compiled = rules.filter(isIptablesRule).map((rule, place): CompiledRule => {
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
  return { name, rules: compiled, byDestination, destinations, byPort, portPlaces, others };
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

function isIptablesRule(rule: AnyRule): rule is Rule {
  return !isNftRule(rule);
}
