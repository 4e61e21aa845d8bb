import type { HostPlan } from "@svcproxy/topology";
import { parseNft } from "../../nft/parse-nft.ts";
import { proveRules } from "../../prove/prove-rules.ts";
import type { Deviation } from "../../prove/report/deviation.ts";
import type { Proof } from "../../prove/report/proof.ts";
import { tableDeviations } from "../../prove/report/table-deviations.ts";
import type { RuleSet } from "../../rule-set.ts";
import { loadRules } from "../differential/differential-run.ts";
import { withEveryTable } from "../differential/every-table.ts";
import { type KernelWorld, sysctlsOf } from "../differential/kernel-world.ts";
import type { RandomSource } from "../differential/random-source.ts";
import { DEFAULT_SETTINGS, type WorldSettings } from "../differential/world-plan.ts";
import { type ProveFixture, readFixture, stickyFixture, stickyPlan, worldFixture } from "../prove-fixtures.ts";
import { mutateNft } from "./mutate-nft.ts";
import { mutateRules } from "./mutate-rules.ts";

/** Rules that keep a plan's promise, and how one thing of them is changed. */
export interface MutantSubject {
  readonly name: string;
  readonly plan: HostPlan;
  readonly deviations: readonly Deviation[];
  readonly original: Variant;
  mutate(random: RandomSource): { readonly told: string; readonly variant: Variant } | undefined;
}

/** One set of rules: the original, or a mutant. */
export interface Variant {
  /** Nobody is remembered from before. @returns whether the kernel takes the rules */
  load(world: KernelWorld): Promise<boolean>;
  /** Makes every client a new one again, once the rules are loaded. */
  forget(world: KernelWorld): Promise<void>;
  /** Asked after loading. */
  prove(world: KernelWorld): Promise<Proof>;
}

const WITH_LOOPBACK: WorldSettings = { ...DEFAULT_SETTINGS, routeLocalnet: true };

/** Every data path, with everything that a plan may promise. */
export function mutantSubjects(): readonly MutantSubject[] {
  return [
    rulesSubject(worldFixture("document"), DEFAULT_SETTINGS),
    rulesSubject(worldFixture("kubernetes"), DEFAULT_SETTINGS),
    rulesSubject(stickyFixture("document"), WITH_LOOPBACK),
    rulesSubject(stickyFixture("kubernetes"), WITH_LOOPBACK),
    tableSubject("svcproxy", WITH_LOOPBACK),
    tableSubject("kube-proxy", DEFAULT_SETTINGS),
  ];
}

function rulesSubject(fixture: ProveFixture, settings: WorldSettings): MutantSubject {
  const { plan, deviations, isOwn } = fixture;
  const variantOf = (rules: RuleSet): Variant => ({
    async load(world) {
      await unload(world);
      const fault = await loadRules(world, { rules: withEveryTable(rules), settings, variant: "legacy" });
      await forget(world);
      return fault === undefined;
    },
    forget,
    prove: async (world) => proveRules({ plan, deviations, isOwn, hostState: stateOf(world, settings), rules }),
  });
  return {
    ...{ name: fixture.name, plan, deviations, original: variantOf(fixture.rules) },
    mutate(random) {
      const mutant = mutateRules(fixture.rules, random);
      return mutant === undefined ? undefined : { told: mutant.told, variant: variantOf(mutant.rules) };
    },
  };
}

function tableSubject(table: "svcproxy" | "kube-proxy", settings: WorldSettings): MutantSubject {
  const plan = stickyPlan(table === "svcproxy" ? "localhost" : "primary address");
  const deviations = tableDeviations(table, plan);
  const text = readFixture(`sticky-${table}.nft`);
  const variantOf = (rules: string): Variant => ({
    async load(world) {
      await unload(world);
      return (await world.load({ tool: "nft -f -", rules, settings })) === undefined;
    },
    async forget(world) {
      await world.load({ tool: "nft -f -", rules, settings });
    },
    async prove(world) {
      const listed = await world.run("nft", ["list", "ruleset", "ip"]);
      const rules = { family: 4 as const, iptables: [], nft: parseNft(listed), unread: [] };
      return proveRules({ plan, deviations, hostState: stateOf(world, settings), rules });
    },
  });
  return {
    ...{ name: `sticky-${table}`, plan, deviations, original: variantOf(text) },
    mutate(random) {
      const mutant = mutateNft(text, random);
      return mutant === undefined ? undefined : { told: mutant.told, variant: variantOf(mutant.text) };
    },
  };
}

function stateOf({ hostState }: KernelWorld, settings: WorldSettings) {
  return { ...hostState, sysctls: sysctlsOf(settings), recentLists: {} };
}

async function forget(world: KernelWorld): Promise<void> {
  await world.run("sh", ["-c", "for list in /proc/net/xt_recent/*; do [ -w $list ] && echo / > $list; done; true"]);
}

/** Takes away what a subject before left. */
async function unload(world: KernelWorld): Promise<void> {
  const nft = ["svcproxy", "kube-proxy", "foreign"].flatMap((name) => [
    `add table ip ${name}`,
    `delete table ip ${name}`,
  ]);
  await world.run("nft", ["-f", "-"], `${nft.join("\n")}\n`);
  const empty = withEveryTable({ family: 4, tables: [] });
  await loadRules(world, { rules: empty, settings: DEFAULT_SETTINGS, variant: "legacy" });
}
