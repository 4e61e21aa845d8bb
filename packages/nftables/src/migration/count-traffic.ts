import { type Fate, isNftRule, type PlacedRule } from "@svcproxy/rules";
import type { Accounting, CountingRule, Traffic } from "./migration.ts";

/** What all packets meet, or all that are masqueraded: they say nothing of a service. */
const FOR_ALL: ReadonlySet<string> = new Set(["KUBE-POSTROUTING", "KUBE-MARK-MASQ"]);

/** Gathers what kube-proxy's rules counted of the packets of one kind of difference. */
export class TrafficCount {
  readonly #accounting: Accounting;
  readonly #counting = new Map<string, CountingRule>();
  #isUnknown = false;

  constructor(accounting: Accounting) {
    this.#accounting = accounting;
  }

  /** Of packets that took one of these ways: of each way what accounts for it, else the rule that counted least: all of them met it. */
  add(fates: readonly Fate[]): void {
    for (const { kind, decisions } of fates) {
      const counted = decisions.flatMap((placed) => this.#countOf(placed) ?? []);
      const accounted = counted.find(({ source }) => "accounting" in source);
      const least = accounted ?? counted.reduce<CountingRule | undefined>(fewer, undefined);
      // What was turned away without a rule that counts is of no use to anybody.
      if (least === undefined) this.#isUnknown ||= kind === "delivered";
      else this.#counting.set(JSON.stringify(least.source), least);
    }
  }

  get traffic(): Traffic {
    if (this.#isUnknown || this.#counting.size === 0) return { kind: "unknown" };
    const by = [...this.#counting.values()];
    return { kind: "counted", packets: by.reduce((sum, { packets }) => sum + packets, 0), by };
  }

  #countOf({ table, chain, number, rule }: PlacedRule): CountingRule | undefined {
    if (isNftRule(rule) || !chain.startsWith("KUBE-") || FOR_ALL.has(chain)) return undefined;
    for (const match of rule.matches) {
      if (match.kind !== "nfacct") continue;
      const packets = this.#accounting.get(match.name);
      if (packets !== undefined) return { source: { accounting: match.name }, packets };
    }
    if (rule.counters === undefined) return undefined;
    return { source: { table, chain, number }, packets: Number(rule.counters.packets) };
  }
}

function fewer(found: CountingRule | undefined, one: CountingRule): CountingRule {
  return found === undefined || one.packets < found.packets ? one : found;
}
