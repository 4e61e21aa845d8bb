import type { Family } from "@svcproxy/topology";
import type { HostRules } from "../../../hooks/host-rules.ts";
import { parseNft } from "../../../nft/parse-nft.ts";
import { BUILT_IN_CHAINS, type RuleSet } from "../../../rule-set.ts";
import { formatSave } from "../../../rule-sets/format-restore.ts";
import { createTracer, type Tracer } from "../../../trace/trace-packet.ts";
import {
  type CaseOf,
  type DifferentialOptions,
  type DifferentialResult,
  type Loaded,
  randomSettings,
  runLoop,
} from "../differential-loop.ts";
import { withEveryTable } from "../every-table.ts";
import { type KernelWorld, sysctlsOf } from "../kernel-world.ts";
import { randomRuleSet } from "../random-rules.ts";
import { shrinkRules } from "../shrink-rules.ts";
import { formatNftSource, type NftSource, smallerSources } from "./nft-source.ts";
import { randomNft } from "./random-nft.ts";

interface LoadedNft extends Loaded {
  readonly family: Family;
  readonly source: NftSource;
  readonly beside: Beside;
}

/** Rules of iptables beside those of nftables, and how the engine gets to know them. */
interface Beside {
  /** `listed`: loaded by iptables-nft, and read from what nft lists of them. */
  readonly as: "legacy" | "nft" | "listed";
  readonly rules: RuleSet;
}

const NOTHING = (family: Family): RuleSet => withEveryTable({ family, tables: [] });

/** Asks the kernel and the engine about random rules of nftables; the engine reads what nft lists. */
export function runNftDifferential(world: KernelWorld, options: DifferentialOptions): Promise<DifferentialResult> {
  return runLoop<LoadedNft>(
    world,
    {
      draw(random, family) {
        const source = randomNft(random, family);
        const settings = randomSettings(random);
        const as = random.pick(["legacy", "nft", "listed"] as const);
        const rules = random.chance(0.5) ? randomRuleSet(random, family) : NOTHING(family);
        return { family, source, settings, beside: { as, rules: withEveryTable(rules) } };
      },
      load: (loaded) => load(world, loaded),
      tracerOf: (loaded) => tracerOf(world, loaded, { knowsDynamicSets: false }),
      tracerOfNow: (loaded) => tracerOf(world, loaded, { knowsDynamicSets: true }),
      shrink,
      format: formatLoaded,
    },
    options,
  );
}

/** Loads the rules of both programs; what the test before left of the other variant of iptables goes. */
async function load(world: KernelWorld, { family, source, beside, settings }: LoadedNft): Promise<string | undefined> {
  const save = family === 4 ? "iptables" : "ip6tables";
  const other = beside.as === "legacy" ? "nft" : "legacy";
  const empty = formatSave(NOTHING(family));
  for (const [tool, rules] of [
    ["nft -f -", formatNftSource({ tables: [] })],
    [`${save}-${other}-restore`, empty],
    [`${save}-${beside.as === "legacy" ? "legacy" : "nft"}-restore`, formatSave(beside.rules)],
    ["nft -f -", formatNftSource(source)],
  ] as const) {
    const fault = await world.load({ tool, rules, settings });
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** What the kernel has of the test's rules, as nft lists them, and iptables' as they are. */
async function listed(world: KernelWorld, { family, source, beside }: LoadedNft): Promise<HostRules> {
  const header = family === 4 ? "ip" : "ip6";
  const own = beside.as === "listed" ? Object.keys(BUILT_IN_CHAINS).map((name) => [header, name] as const) : [];
  const named = [...own, ...source.tables.map(({ family: kind, name }) => [kind, name] as const)];
  const texts: string[] = [];
  for (const [kind, name] of named) texts.push(await world.run("nft", ["list", "table", kind, name]));
  return {
    family,
    iptables: beside.as === "listed" ? [] : [{ variant: beside.as, rules: beside.rules }],
    nft: parseNft(texts.join("\n")),
    unread: [],
  };
}

async function tracerOf(
  world: KernelWorld,
  loaded: LoadedNft,
  { knowsDynamicSets }: { readonly knowsDynamicSets: boolean },
): Promise<Tracer> {
  const { hostState } = world;
  const { settings } = loaded;
  const routes = hostState.routes.filter(({ type }) => settings.forwarding || type !== "anycast");
  return createTracer({
    rules: await listed(world, loaded),
    hostState: { ...hostState, routes, sysctls: sysctlsOf(settings) },
    knowsDynamicSets,
  });
}

async function shrink(
  failed: CaseOf<LoadedNft>,
  stillFails: (smaller: CaseOf<LoadedNft>) => Promise<boolean>,
): Promise<CaseOf<LoadedNft>> {
  let best = failed;
  for (let progress = true; progress; ) {
    progress = false;
    for (const source of smallerSources(best.source)) {
      const smaller = { ...best, source };
      if (!(await stillFails(smaller))) continue;
      best = smaller;
      progress = true;
      break;
    }
  }
  const withRules = (rules: RuleSet) => ({ ...best, beside: { ...best.beside, rules } });
  const { rules } = await shrinkRules({ rules: best.beside.rules }, (smaller) => stillFails(withRules(smaller.rules)));
  return withRules(rules);
}

function formatLoaded({ source, beside }: LoadedNft): string {
  const rules = formatNftSource(source)
    .split("\n")
    .filter((line) => !/^(add|delete) table/.test(line));
  const besides = formatSave(beside.rules)
    .split("\n")
    .filter((line) => line.startsWith("-A") || line.startsWith("*") || line.includes(" DROP "));
  return [...rules, `${beside.as}:`, ...besides].join("\n");
}
