import { applyCommands, formatSave, type Rule, type RuleSet, ruleKey, type Table } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import { InputError } from "@svcproxy/topology";
import { RestoreRefused, type RuleTables } from "./rule-tables.ts";
import { TableBackend } from "./table-backend.ts";
import type { ExpectedRule, TableChange } from "./table-change.ts";

/** Rules in memory that refuse what the kernel refuses: to try a plan where there is no kernel to load it into. */
export class MemoryTables implements RuleTables {
  readonly name = "memory";
  readonly #rules = new Map<Family, RuleSet>();

  constructor(rules: readonly RuleSet[] = []) {
    for (const ruleSet of rules) this.#rules.set(ruleSet.family, ruleSet);
  }

  async save(family: Family): Promise<RuleSet> {
    return this.#of(family);
  }

  async restore(change: TableChange): Promise<void> {
    const { family, table, commands, expected = [] } = change;
    const missing = expected.find(({ chain, rule }) => !this.#has(family, { table, chain, rule }));
    if (missing !== undefined) throw refused(change, `a rule of chain ${missing.chain} that it rests on is not there`);
    try {
      const next = applyCommands(this.#of(family), commands);
      const refusal = findRefusal(next.tables.find(({ name }) => name === table));
      if (refusal !== undefined) throw refused(change, refusal);
      this.#rules.set(family, next);
    } catch (error) {
      throw error instanceof InputError ? refused(change, error.message) : error;
    }
  }

  /** As `iptables-save` prints it, IPv4 first. */
  dump(): string {
    return ([4, 6] as const).map((family) => formatSave(this.#of(family))).join("");
  }

  #has(family: Family, { table, chain, rule }: ExpectedRule & { readonly table: string }): boolean {
    const chains = this.#of(family).tables.find(({ name }) => name === table)?.chains ?? [];
    const key = ruleKey(rule, { withComments: true });
    return (
      chains.find(({ name }) => name === chain)?.rules.some((each) => ruleKey(each, { withComments: true }) === key) ===
      true
    );
  }

  #of(family: Family): RuleSet {
    return this.#rules.get(family) ?? { family, tables: [] };
  }
}

/** The backend over rules in memory. */
export class MemoryBackend extends TableBackend {
  readonly #memory: MemoryTables;

  constructor(tables = new MemoryTables()) {
    super(tables);
    this.#memory = tables;
  }

  dump(): string {
    return this.#memory.dump();
  }
}

function refused(change: TableChange, reason: string): RestoreRefused {
  return new RestoreRefused("RESTORE_REFUSED", `Cannot change table ${change.table} (IPv${change.family}): ${reason}`);
}

/** In which tables the kernel has a target; one that is not named is everywhere. */
const TABLES_OF_TARGET: Readonly<Partial<Record<Rule["target"]["kind"], readonly string[]>>> = {
  dnat: ["nat"],
  snat: ["nat"],
  masquerade: ["nat"],
  redirect: ["nat"],
  reject: ["filter"],
  tproxy: ["mangle"],
  ct: ["raw"],
  checksum: ["mangle"],
  tcpmss: ["filter", "mangle", "security"],
};

/** To which built-in chains a target belongs, be it in a chain that they jump to. */
const HOOKS_OF_TARGET: Readonly<Partial<Record<Rule["target"]["kind"], readonly string[]>>> = {
  dnat: ["PREROUTING", "OUTPUT"],
  redirect: ["PREROUTING", "OUTPUT"],
  snat: ["POSTROUTING", "INPUT"],
  masquerade: ["POSTROUTING"],
  tproxy: ["PREROUTING"],
};

/** What the kernel itself checks once a table is whole: loops, and targets in a place where they cannot be. */
function findRefusal(table: Table | undefined): string | undefined {
  if (table === undefined) return undefined;
  const chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  for (const { name, rules } of table.chains) {
    const stray = rules.find(({ target }) => TABLES_OF_TARGET[target.kind]?.includes(table.name) === false);
    if (stray !== undefined)
      return `chain ${name} has target ${stray.target.kind}, which table ${table.name} does not have`;
  }
  const done = new Map<string, Set<string>>();
  const visit = (
    name: string,
    { hook, path }: { hook: string | undefined; path: readonly string[] },
  ): string | undefined => {
    if (path.includes(name)) return `chains ${[...path, name].join(" -> ")} form a loop`;
    const hooks = done.get(name) ?? new Set();
    if (hooks.has(hook ?? "")) return undefined;
    done.set(name, hooks.add(hook ?? ""));
    for (const { target } of chains.get(name)?.rules ?? []) {
      if (hook !== undefined && HOOKS_OF_TARGET[target.kind]?.includes(hook) === false)
        return `target ${target.kind} in chain ${name} cannot be reached from ${hook}`;
      const found =
        target.kind === "jump" || target.kind === "goto"
          ? visit(target.chain, { hook, path: [...path, name] })
          : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  for (const { name, policy } of table.chains) {
    const found = visit(name, { hook: policy === undefined ? undefined : name, path: [] });
    if (found !== undefined) return found;
  }
  return undefined;
}
