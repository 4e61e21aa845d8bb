import type { Family } from "@svcproxy/topology";
import type { AnyRule } from "../../hooks/any-rule.ts";
import { type BaseChain, type HookStage, hookStages } from "../../hooks/hook-order.ts";
import type { HostRules } from "../../hooks/host-rules.ts";
import type { Hook } from "../../rule-set.ts";
import { formatAnyRule } from "../report/describe-event.ts";

/** The chains of a host by the names that the kernel's tracing gives them. */
export class KnownChains {
  readonly #family: Family;
  readonly #bases = new Map<string, { readonly hook: Hook; readonly base: BaseChain }>();
  readonly #labels = new Map<string, string>();
  readonly #rules = new Map<string, readonly AnyRule[]>();

  constructor(rules: HostRules) {
    this.#family = rules.family;
    const isSeveral = rules.iptables.length > 1;
    const isLegacy = (base: BaseChain) =>
      base.nft === undefined && (isSeveral ? base.table.endsWith("(legacy)") : rules.iptables[0]?.variant === "legacy");
    for (const [hook, stages] of hookEntries(hookStages(rules))) {
      for (const base of stages.flatMap(chainsOf)) {
        if (isLegacy(base)) this.#legacy.add(base.table);
        else this.#add(hook, base);
      }
    }
  }

  readonly #legacy = new Set<string>();

  /** Tables of iptables-legacy: the kernel's tracing passes them over. */
  get legacyTables(): ReadonlySet<string> {
    return this.#legacy;
  }

  /** Whether there is any chain that it can tell of. */
  get isEmpty(): boolean {
    return this.#bases.size === 0;
  }

  #add(hook: Hook, base: BaseChain): void {
    const header = this.#family === 4 ? "ip" : "ip6";
    const table = base.nft === undefined ? `${header} ${base.table.replace(/ \(nft\)$/, "")}` : base.table;
    this.#bases.set(`${table} ${base.name}`, { hook, base });
    this.#labels.set(table, base.table);
    for (const [name, { rules }] of base.chains) this.#rules.set(`${table} ${name}`, rules);
    this.#rules.set(`${table} ${base.name}`, base.rules);
  }

  /** At which hook a base chain hangs. */
  hookOf(table: string, chain: string): Hook | undefined {
    return this.#bases.get(`${table} ${chain}`)?.hook;
  }

  /** As a trace calls a table. */
  labelOf(table: string): string {
    return this.#labels.get(table) ?? table;
  }

  /** A rule as a trace prints it. */
  ruleText(table: string, chain: string, number: number | undefined): string | undefined {
    const rule = number === undefined ? undefined : this.#rules.get(`${table} ${chain}`)?.[number - 1];
    return rule === undefined ? undefined : formatAnyRule(rule, this.#family);
  }
}

function hookEntries(stages: ReturnType<typeof hookStages>): readonly (readonly [Hook, readonly HookStage[]])[] {
  const { PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING } = stages;
  return [
    ["PREROUTING", PREROUTING],
    ["INPUT", INPUT],
    ["FORWARD", FORWARD],
    ["OUTPUT", OUTPUT],
    ["POSTROUTING", POSTROUTING],
  ];
}

function chainsOf(stage: HookStage): readonly BaseChain[] {
  switch (stage.kind) {
    case "chain":
      return [stage.chain];
    case "nat":
      return stage.stages.flatMap(chainsOf);
    case "orders":
      return (stage.orders[0]?.stages ?? []).flatMap(chainsOf);
    case "conntrack":
    case "unread":
      return [];
  }
}
