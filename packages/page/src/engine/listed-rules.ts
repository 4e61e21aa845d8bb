import {
  type AnyRule,
  formatAnyRule,
  formatSetElement,
  type HostRules,
  type NftElement,
  ruleCounters,
} from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { CountedView, ElementView, RuleView } from "../model.ts";

/** Finds rules and elements that a host has by what they say, wherever they stand. */
export class ListedRules {
  readonly #rules: (family: Family) => HostRules;
  /** By place, then by text. */
  readonly #chains = new Map<string, ReadonlyMap<string, RuleView>>();
  readonly #sets = new Map<string, ReadonlyMap<string, ElementView>>();

  constructor(rules: (family: Family) => HostRules) {
    this.#rules = rules;
  }

  /** @returns the same rule as this host has it, undefined where it has none in that chain */
  rule(wanted: RuleView): RuleView | undefined {
    const { family, table, chain, rule } = wanted;
    const key = `${family} ${table} ${chain}`;
    const known = this.#chains.get(key) ?? this.#readChain(wanted);
    this.#chains.set(key, known);
    return known.get(rule);
  }

  element(wanted: ElementView): ElementView | undefined {
    const { family, table, set, element } = wanted;
    const key = `${family} ${table} ${set}`;
    const known = this.#sets.get(key) ?? this.#readSet(wanted);
    this.#sets.set(key, known);
    return known.get(element);
  }

  #readChain({ family, table, chain }: RuleView): ReadonlyMap<string, RuleView> {
    const rules = chainOf(this.#rules(family), { table, chain });
    return new Map(
      rules.map((rule, index): [string, RuleView] => {
        const text = formatAnyRule(rule, family);
        return [text, { family, table, chain, number: index + 1, rule: text, ...countersOfRule(rule) }];
      }),
    );
  }

  #readSet({ family, table, set: name }: ElementView): ReadonlyMap<string, ElementView> {
    const set = tableOf(this.#rules(family), table)?.sets.get(name);
    return new Map(
      set?.elements.map((element): [string, ElementView] => {
        const view = elementView({ family, table, name, text: formatSetElement(set, element) }, element);
        return [view.element, view];
      }),
    );
  }
}

function chainOf(
  rules: HostRules,
  { table, chain }: { readonly table: string; readonly chain: string },
): readonly AnyRule[] {
  const native = tableOf(rules, table)?.chains.find(({ name }) => name === chain);
  if (native !== undefined) return native.rules;
  const name = table.replace(/ \((legacy|nft)\)$/, "");
  const found = rules.iptables
    .flatMap((variant) => variant.rules.tables.filter((candidate) => candidate.name === name))
    .flatMap(({ chains }) => chains.filter((candidate) => candidate.name === chain));
  return found.flatMap((candidate) => candidate.rules);
}

function tableOf({ nft }: HostRules, table: string) {
  return nft.tables.find(({ family, name }) => `${family} ${name}` === table);
}

export function countersOfRule(rule: AnyRule): CountedView | undefined {
  const counters = ruleCounters(rule);
  if (counters === undefined) return undefined;
  return {
    packets: Number(counters.packets),
    ...(counters.bytes === undefined ? {} : { bytes: Number(counters.bytes) }),
  };
}

export function elementView(
  {
    family,
    table,
    name,
    text,
  }: { readonly family: Family; readonly table: string; readonly name: string; readonly text: string },
  { counters, comment }: NftElement,
): ElementView {
  return {
    ...{ family, table, set: name, element: text },
    ...(comment === undefined ? {} : { comment }),
    ...counters,
  };
}
