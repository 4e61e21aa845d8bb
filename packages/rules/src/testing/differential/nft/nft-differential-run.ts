import type { Family } from "@svcproxy/topology";
import type { HostRules } from "../../../hooks/host-rules.ts";
import { parseNft } from "../../../nft/parse-nft.ts";
import { BUILT_IN_CHAINS, type RuleSet } from "../../../rule-set.ts";
import { formatSave } from "../../../rule-sets/format-restore.ts";
import { createTracer, type Trace, type Tracer } from "../../../trace/trace-packet.ts";
import { randomSettings, requestOf } from "../differential-run.ts";
import { withEveryTable } from "../every-table.ts";
import { describeTrace, judge, type KernelOutcome, kernelOutcome, repeatsFor } from "../judge.ts";
import { type KernelWorld, type SentPacket, sysctlsOf } from "../kernel-world.ts";
import { randomPacket } from "../random-packet.ts";
import { randomRuleSet } from "../random-rules.ts";
import { randomSource } from "../random-source.ts";
import { shrinkRules } from "../shrink-rules.ts";
import type { WorldSettings } from "../world-plan.ts";
import { formatNftSource, type NftSource, smallerSources } from "./nft-source.ts";
import { randomNft } from "./random-nft.ts";

/** Rules, the host's settings, and a packet: what the kernel and the engine are both asked about. */
export interface NftCase {
  readonly family: Family;
  readonly source: NftSource;
  readonly beside: Beside;
  readonly settings: WorldSettings;
  readonly sent: SentPacket;
}

/** Rules of iptables beside those of nftables, and how the engine gets to know them. */
export interface Beside {
  /** `listed`: loaded by iptables-nft, and read from what nft lists of them. */
  readonly as: "legacy" | "nft" | "listed";
  readonly rules: RuleSet;
}

const NOTHING = (family: Family): RuleSet => withEveryTable({ family, tables: [] });

export interface NftDifferentialResult {
  readonly pairs: number;
  readonly packets: number;
  /** By verdict, how often the engine said so. */
  readonly verdicts: Readonly<Record<string, number>>;
  /** Each already shrunk: what was seen, what was said, and the rules. */
  readonly disagreements: readonly string[];
  /** Rule sets that nft did not take, with its words. */
  readonly refused: readonly string[];
}

/** Asks the kernel and the engine about random rules of nftables; the engine reads what nft lists. */
export async function runNftDifferential(
  world: KernelWorld,
  options: {
    readonly seed: number;
    readonly ruleSets: number;
    readonly packetsPerRuleSet: number;
    readonly stopAfter: number;
  },
): Promise<NftDifferentialResult> {
  const disagreements: string[] = [];
  const refused: string[] = [];
  const verdicts: Record<string, number> = {};
  let pairs = 0;
  let packets = 0;
  for (let index = 0; index < options.ruleSets && disagreements.length < options.stopAfter; index++) {
    const seed = options.seed + index;
    const random = randomSource(seed);
    const family: Family = random.chance(0.7) ? 4 : 6;
    const source = randomNft(random, family);
    const settings = randomSettings(random);
    const as = random.pick(["legacy", "nft", "listed"] as const);
    const rules = random.chance(0.5) ? randomRuleSet(random, family) : NOTHING(family);
    const beside: Beside = { as, rules: withEveryTable(rules) };
    const fault = await load(world, { family, source, beside, settings });
    if (fault !== undefined) {
      refused.push(`seed ${seed}: ${fault.split("\n").slice(0, 3).join(" ")}`);
      continue;
    }
    const cases = Array.from(
      { length: options.packetsPerRuleSet },
      (_, at): NftCase => ({ family, source, beside, settings, sent: randomPacket(random, family, at + 1) }),
    );
    for (const { found, trace, repeats, difference } of await askNft(world, cases)) {
      pairs++;
      packets += repeats;
      for (const branch of trace.branches) {
        const verdict = branch.kind === "decided" ? branch.outcome.verdict : "undecided";
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
      }
      if (difference === undefined || disagreements.length >= options.stopAfter) continue;
      // A packet that the machine lost once is not a disagreement.
      if ((await disagreement(world, found)) === undefined) continue;
      const failed = await shrink(world, found);
      const [last] = (await load(world, failed)) === undefined ? await askNft(world, [failed]) : [];
      disagreements.push(
        describeCase(failed, { seed, difference: last?.difference ?? difference, trace: last?.trace ?? trace }),
      );
    }
  }
  return { pairs, packets, verdicts, disagreements, refused };
}

/** Loads the rules of both programs; what the test before left of the other variant of iptables goes. */
async function load(
  world: KernelWorld,
  { family, source, beside, settings }: Omit<NftCase, "sent">,
): Promise<string | undefined> {
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

interface AskedNft {
  readonly found: NftCase;
  readonly observed: readonly KernelOutcome[];
  readonly trace: Trace;
  readonly repeats: number;
  readonly difference: string | undefined;
}

/** What the kernel has of the test's rules, as nft lists them, and iptables' as they are. */
async function listed(world: KernelWorld, { family, source, beside }: NftCase): Promise<HostRules> {
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

async function tracerOf(world: KernelWorld, found: NftCase): Promise<Tracer> {
  const { hostState } = world;
  const { settings } = found;
  const routes = hostState.routes.filter(({ type }) => settings.forwarding || type !== "anycast");
  return createTracer({
    rules: await listed(world, found),
    hostState: { ...hostState, routes, sysctls: sysctlsOf(settings) },
    knowsDynamicSets: false,
  });
}

/** Sends the packets of cases with the same rules, which are loaded, and compares. */
export async function askNft(world: KernelWorld, cases: readonly NftCase[]): Promise<readonly AskedNft[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const tracer = await tracerOf(world, first);
  let nextId = 1;
  const planned = cases.map((one) => {
    const trace = tracer.trace(requestOf(one));
    const ids = Array.from({ length: repeatsFor(trace) }, () => nextId++);
    return { found: one, trace, ids };
  });
  const seen = await world.send(
    planned.flatMap(({ found: { sent }, ids }) => ids.map((id) => ({ ...sent, packet: { ...sent.packet, id } }))),
  );
  const byId = Map.groupBy(seen, ({ id }) => id);
  return planned.map(({ found, trace, ids }) => {
    const observed = ids.map((id) => kernelOutcome(byId.get(id) ?? [], world.interfaceName));
    return { found, observed, trace, repeats: ids.length, difference: judge(trace, observed) };
  });
}

async function disagreement(world: KernelWorld, failed: NftCase): Promise<string | undefined> {
  if ((await load(world, failed)) !== undefined) return undefined;
  const [asked] = await askNft(world, [failed]);
  return asked?.difference;
}

async function shrink(world: KernelWorld, failed: NftCase): Promise<NftCase> {
  let best = failed;
  const isSmaller = async (smaller: NftCase) => (await disagreement(world, smaller)) !== undefined;
  for (let progress = true; progress; ) {
    progress = false;
    for (const source of smallerSources(best.source)) {
      const smaller = { ...best, source };
      if (!(await isSmaller(smaller))) continue;
      best = smaller;
      progress = true;
      break;
    }
  }
  const withRules = (rules: RuleSet): NftCase => ({ ...best, beside: { ...best.beside, rules } });
  const { rules } = await shrinkRules({ rules: best.beside.rules }, (smaller) => isSmaller(withRules(smaller.rules)));
  return withRules(rules);
}

function describeCase(
  { sent: { side, packet, mark }, settings, source, beside }: NftCase,
  { seed, difference, trace }: { readonly seed: number; readonly difference: string; readonly trace: Trace },
): string {
  const rules = formatNftSource(source)
    .split("\n")
    .filter((line) => !/^(add|delete) table/.test(line));
  return [
    `seed ${seed}: ${packet.protocol} from ${side} ${packet.source}:${packet.sourcePort} to ${packet.destination}:${packet.destinationPort} mark ${mark.toString(16)}`,
    `  ${JSON.stringify(settings)}`,
    `  ${difference}`,
    `  the engine says:\n    ${describeTrace(trace)}`,
    ...rules,
    `${beside.as}:`,
    ...formatSave(beside.rules)
      .split("\n")
      .filter((line) => line.startsWith("-A") || line.startsWith("*") || line.includes(" DROP ")),
  ].join("\n");
}

/** Takes the test's tables away. */
export async function unloadNft(world: KernelWorld): Promise<void> {
  await world.run("nft", ["-f", "-"], formatNftSource({ tables: [] }));
}
