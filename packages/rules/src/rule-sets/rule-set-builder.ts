import type { Family } from "@svcproxy/topology";
import { unreachable, visible } from "@svcproxy/topology";
import { ruleKey } from "../compare/rule-key.ts";
import { isTargetName } from "../effects/target-effect.ts";
import type { Chain, Rule, RuleSet } from "../rule-set.ts";
import { BUILT_IN_CHAINS, CHAIN_NAME_MAX_LENGTH } from "../rule-set.ts";
import type { RuleContext } from "../text/header-options.ts";
import { ruleContext } from "../text/header-options.ts";
import type { Command } from "../text/parse-command.ts";
import { RuleFault } from "../text/rule-fault.ts";
import { TARGET_SYNTAX } from "../text/target-syntax.ts";

interface OpenChain extends Omit<Chain, "rules" | "policy"> {
  policy?: "ACCEPT" | "DROP";
  rules: Rule[];
}

/** A table in the making. */
export interface OpenTable {
  readonly name: string;
  readonly chains: Map<string, OpenChain>;
  /** For reading rules of this table. */
  readonly context: RuleContext;
}

export interface BuilderOptions {
  /** Set where the rules are a part of what the kernel has: chains that are not here may be there. */
  readonly isPartial: boolean;
}

/** A rule set in the making. What iptables would refuse is thrown as RuleFault and changes nothing. */
export class RuleSetBuilder {
  readonly #family: Family;
  readonly #isPartial: boolean;
  readonly #tables = new Map<string, OpenTable>();
  readonly #shared: RuleContext;

  constructor(family: Family, { isPartial }: BuilderOptions) {
    this.#family = family;
    this.#isPartial = isPartial;
    this.#shared = ruleContext(family);
  }

  static from(ruleSet: RuleSet, options: BuilderOptions): RuleSetBuilder {
    const builder = new RuleSetBuilder(ruleSet.family, options);
    for (const table of ruleSet.tables) {
      const { chains } = builder.openTable(table.name);
      for (const chain of table.chains) chains.set(chain.name, { ...chain, rules: [...chain.rules] });
    }
    return builder;
  }

  build(): RuleSet {
    const tables = [...this.#tables.values()].map(({ name, chains }) => ({ name, chains: [...chains.values()] }));
    return { family: this.#family, tables };
  }

  /** The table as it is, without its built-in chains where it is new. */
  openTable(name: string): OpenTable {
    let table = this.#tables.get(name);
    if (table === undefined) {
      const chains = new Map<string, OpenChain>();
      table = { name, chains, context: { ...this.#shared, chains, targets: new Map() } };
      this.#tables.set(name, table);
    }
    return table;
  }

  /** What a line `:CHAIN POLICY` of iptables-restore does: a chain that is there is emptied. */
  declareChain({ chains }: OpenTable, chain: Chain): void {
    const builtIn = chain.policy !== undefined;
    if (!builtIn && !chains.has(chain.name)) checkChainName(chain.name);
    chains.set(chain.name, { ...chain, rules: [] });
  }

  append(table: OpenTable, chainName: string, rule: Rule): void {
    const chain = this.#chain(table, chainName);
    this.#checkTarget(table, rule);
    chain.rules.push(rule);
  }

  run(command: Command): void {
    const table = this.openTable(command.table);
    if (!this.#isPartial) addBuiltInChains(table);
    switch (command.kind) {
      case "newChain":
        if (table.chains.has(command.chain))
          throw new RuleFault(`chain ${shown(command.chain)} exists already`, "CHAIN_EXISTS");
        checkChainName(command.chain);
        table.chains.set(command.chain, { name: command.chain, rules: [] });
        return;
      case "append":
        this.append(table, command.chain, command.rule);
        return;
      case "insert": {
        const { rules } = this.#chain(table, command.chain);
        this.#checkTarget(table, command.rule);
        if (command.position > rules.length + 1) throw noSuchRule(command);
        rules.splice(command.position - 1, 0, command.rule);
        return;
      }
      case "replace": {
        const { rules } = this.#chain(table, command.chain);
        this.#checkTarget(table, command.rule);
        if (command.position > rules.length) throw noSuchRule(command);
        rules[command.position - 1] = command.rule;
        return;
      }
      case "deleteAt": {
        const { rules } = this.#chain(table, command.chain);
        if (command.position > rules.length) throw noSuchRule(command);
        rules.splice(command.position - 1, 1);
        return;
      }
      case "delete": {
        const { rules } = this.#chain(table, command.chain);
        const key = ruleKey(command.rule, { withComments: true });
        const at = rules.findIndex((rule) => ruleKey(rule, { withComments: true }) === key);
        if (at < 0) throw new RuleFault(`chain ${shown(command.chain)} has no such rule`, "RULE_MISSING");
        rules.splice(at, 1);
        return;
      }
      case "flush":
        for (const chain of command.chain === undefined ? table.chains.values() : [this.#chain(table, command.chain)])
          chain.rules = [];
        return;
      case "deleteChain":
        deleteChains(
          table,
          command.chain === undefined
            ? [...table.chains.values()].filter(({ name }) => !isBuiltIn(table, name))
            : [this.#chain(table, command.chain)],
        );
        return;
      case "policy":
        if (!isBuiltIn(table, command.chain))
          throw new RuleFault(`chain ${shown(command.chain)} is not built in and has no policy`);
        this.#chain(table, command.chain).policy = command.policy;
        return;
      default:
        unreachable(command);
    }
  }

  #chain(table: OpenTable, name: string): OpenChain {
    let chain = table.chains.get(name);
    if (chain === undefined) {
      // The kernel has its own chains, declared or not.
      const mayBeThere = this.#isPartial || isBuiltIn(table, name);
      if (!mayBeThere)
        throw new RuleFault(`there is no chain ${shown(name)} in table ${visible(table.name)}`, "CHAIN_MISSING");
      chain = { name, rules: [] };
      table.chains.set(name, chain);
    }
    return chain;
  }

  #checkTarget({ name, chains }: OpenTable, { target }: Rule): void {
    if (this.#isPartial || (target.kind !== "jump" && target.kind !== "goto")) return;
    if (!chains.has(target.chain))
      throw new RuleFault(`there is no chain ${shown(target.chain)} in table ${visible(name)}`, "CHAIN_MISSING");
  }
}

function shown(name: string): string {
  return JSON.stringify(visible(name));
}

function noSuchRule({ chain, position }: { chain: string; position: number }): RuleFault {
  return new RuleFault(`chain ${shown(chain)} has no rule ${position}`, "RULE_MISSING");
}

function isBuiltIn({ name }: { name: string }, chain: string): boolean {
  return BUILT_IN_CHAINS[name]?.includes(chain) ?? false;
}

/** The kernel makes all of a table's built-in chains as soon as the table is used. */
function addBuiltInChains({ name, chains }: OpenTable): void {
  if (chains.size > 0) return;
  for (const chain of BUILT_IN_CHAINS[name] ?? []) chains.set(chain, { name: chain, policy: "ACCEPT", rules: [] });
}

function deleteChains(table: OpenTable, chains: readonly OpenChain[]): void {
  const names = new Set(chains.map(({ name }) => name));
  for (const { name, rules } of chains) {
    if (isBuiltIn(table, name)) throw new RuleFault(`chain ${shown(name)} is built in`, "CHAIN_IN_USE");
    if (rules.length > 0) throw new RuleFault(`chain ${shown(name)} is not empty`, "CHAIN_IN_USE");
  }
  for (const { name, rules } of table.chains.values()) {
    for (const { target } of rules) {
      if ((target.kind === "jump" || target.kind === "goto") && names.has(target.chain))
        throw new RuleFault(`chain ${shown(target.chain)} is still used by ${shown(name)}`, "CHAIN_IN_USE");
    }
  }
  for (const name of names) table.chains.delete(name);
}

/** What `iptables -N` refuses. */
function checkChainName(name: string): void {
  if (/^\w[\w-]{0,27}$/.test(name) && name.includes("-")) return;
  const length = new TextEncoder().encode(name).length;
  const fault =
    length > CHAIN_NAME_MAX_LENGTH
      ? `has ${length} bytes, ${CHAIN_NAME_MAX_LENGTH} is the most`
      : name === ""
        ? "is empty"
        : /^[-!]/.test(name)
          ? "may not begin with - or !"
          : /[\s\0]/.test(name)
            ? "has a blank in it"
            : TARGET_SYNTAX.has(name) || isTargetName(name)
              ? "is the name of a target"
              : undefined;
  if (fault !== undefined) throw new RuleFault(`chain name ${shown(name)} ${fault}`, "CHAIN_NAME");
}
