import type { Family } from "@svcproxy/topology";
import type { RuleSet } from "../../rule-set.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import type { TraceRequest } from "../../trace/packet/request.ts";
import { createTracer, type Trace, type Tracer } from "../../trace/trace-packet.ts";
import { buildPacket } from "./build-packet.ts";
import { describeTrace, judge, type KernelOutcome, kernelOutcome, repeatsFor } from "./judge.ts";
import { type KernelWorld, type SentPacket, sysctlsOf } from "./kernel-world.ts";
import { randomPacket } from "./random-packet.ts";
import { randomRuleSet } from "./random-rules.ts";
import { type RandomSource, randomSource } from "./random-source.ts";
import { shrinkRules } from "./shrink-rules.ts";
import { ENTRY, MAC_OF, type WorldSettings } from "./world-plan.ts";

/** Rules, the host's settings, and a packet: what the kernel and the engine are both asked about. */
export interface Case {
  readonly rules: RuleSet;
  readonly settings: WorldSettings;
  readonly sent: SentPacket;
}

export interface Disagreement {
  readonly seed: number;
  /** Already shrunk. */
  readonly failed: Case;
  /** What was seen, what was said, and the rules. */
  readonly text: string;
}

export interface DifferentialOptions {
  readonly seed: number;
  readonly ruleSets: number;
  readonly packetsPerRuleSet: number;
  /** Which iptables loads the rules. */
  readonly variant: "legacy" | "nft";
  /** The run ends early once this many disagreements were found. */
  readonly stopAfter: number;
  readonly onProgress?: (text: string) => void;
}

export interface DifferentialResult {
  readonly pairs: number;
  readonly packets: number;
  /** Traces that had a question in them. */
  readonly undecided: number;
  /** By verdict, how often the engine said so: a run in which everything is dropped shows nothing. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly disagreements: readonly Disagreement[];
  /** Rule sets that the kernel did not take, with its words, or that mean something else there. */
  readonly refused: readonly string[];
}

/** Asks the kernel and the engine about random rules and packets. */
export async function runDifferential(world: KernelWorld, options: DifferentialOptions): Promise<DifferentialResult> {
  const disagreements: Disagreement[] = [];
  const refused: string[] = [];
  const verdicts: Record<string, number> = {};
  let pairs = 0;
  let packets = 0;
  let undecided = 0;
  for (let index = 0; index < options.ruleSets && disagreements.length < options.stopAfter; index++) {
    const seed = options.seed + index;
    const random = randomSource(seed);
    const family: Family = random.chance(0.7) ? 4 : 6;
    const rules = randomRuleSet(random, family);
    const settings = randomSettings(random);
    if (options.variant === "nft" && hangsOnVariant(rules)) {
      refused.push(`seed ${seed}: iptables-nft asks the tables of INPUT in another order`);
      continue;
    }
    const fault = await loadRules(world, { rules, settings, variant: options.variant });
    if (fault !== undefined) {
      refused.push(`seed ${seed}: ${fault}\n${formatSave(rules)}`);
      continue;
    }
    const cases = Array.from(
      { length: options.packetsPerRuleSet },
      (_, at): Case => ({
        rules,
        settings,
        sent: randomPacket(random, family, at + 1),
      }),
    );
    const asked = await askAll(world, cases);
    for (const { found, trace, repeats, difference } of asked) {
      pairs++;
      packets += repeats;
      for (const branch of trace.branches) {
        const verdict = branch.kind === "decided" ? branch.outcome.verdict : "undecided";
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
      }
      if (trace.branches.some(({ kind }) => kind === "undecided")) undecided++;
      if (difference === undefined || disagreements.length >= options.stopAfter) continue;
      // A packet that the machine lost once is not a disagreement.
      if (!(await disagrees(world, found, options.variant))) continue;
      const failed = await shrinkRules(found, (smaller) => disagrees(world, smaller, options.variant));
      const [last] =
        (await loadRules(world, { ...failed, variant: options.variant })) === undefined
          ? await askAll(world, [failed])
          : [];
      disagreements.push({
        seed,
        failed,
        text: describeCase(world, { failed, difference: last?.difference ?? difference, seed }),
      });
    }
    if (index % 100 === 99) options.onProgress?.(`${pairs} pairs, ${disagreements.length} disagreements`);
  }
  return { pairs, packets, undecided, verdicts, disagreements, refused };
}

/** At INPUT iptables-nft has nat (100) before security (150), which the kernel has at 50; the engine knows the kernel's order. */
function hangsOnVariant({ tables }: RuleSet): boolean {
  return ["nat", "security"].every((name) =>
    tables.some(
      (table) => table.name === name && table.chains.some((chain) => chain.name === "INPUT" && chain.rules.length > 0),
    ),
  );
}

export function randomSettings(random: RandomSource): WorldSettings {
  return {
    rpFilter: random.pick([1, 1, 2, 0] as const),
    bridgeNf: random.chance(0.75),
    routeLocalnet: random.chance(0.2),
    forwarding: random.chance(0.93),
  };
}

export function loadRules(
  world: KernelWorld,
  { rules, settings, variant }: { rules: RuleSet; settings: WorldSettings; variant: "legacy" | "nft" },
): Promise<string | undefined> {
  const tool = `${rules.family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`;
  return world.load({ tool, rules: formatSave(rules), settings });
}

function tracerOf({ hostState }: KernelWorld, { rules, settings }: Case): Tracer {
  // The world's state was read while it forwarded: IPv6 has an anycast address in each subnet only then.
  const routes = hostState.routes.filter(({ type }) => settings.forwarding || type !== "anycast");
  return createTracer({ rules, hostState: { ...hostState, routes, sysctls: sysctlsOf(settings) } });
}

/** The engine's words for a packet that the kernel gets, with everything about it that a rule may ask. */
export function requestOf({ sent: { side, packet, mark } }: Pick<Case, "sent">): TraceRequest {
  const entry = ENTRY[side];
  const isIcmp = packet.protocol === "icmp";
  return {
    from: packet.source,
    to: packet.destination,
    protocol: isIcmp && packet.source.includes(":") ? "ipv6-icmp" : packet.protocol,
    ...(isIcmp ? {} : { port: packet.destinationPort, sourcePort: packet.sourcePort }),
    ...(entry === undefined ? {} : { inInterface: entry }),
    mark,
    ttl: 64,
    tos: packet.tos ?? 0,
    length: buildPacket(packet).length,
    ...(side === "host" ? {} : { macSource: MAC_OF[side] }),
  };
}

export interface Asked {
  readonly found: Case;
  readonly observed: readonly KernelOutcome[];
  readonly trace: Trace;
  readonly repeats: number;
  readonly difference: string | undefined;
}

/** Sends the packets of cases with the same rules, which are loaded, and compares. */
export async function askAll(world: KernelWorld, cases: readonly Case[]): Promise<readonly Asked[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const tracer = tracerOf(world, first);
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

async function disagrees(world: KernelWorld, failed: Case, variant: "legacy" | "nft"): Promise<boolean> {
  if ((await loadRules(world, { ...failed, variant })) !== undefined) return false;
  const [asked] = await askAll(world, [failed]);
  return asked?.difference !== undefined;
}

function describeCase(
  world: KernelWorld,
  { failed, difference, seed }: { failed: Case; difference: string; seed: number },
): string {
  const { side, packet, mark } = failed.sent;
  const trace = tracerOf(world, failed).trace(requestOf(failed));
  return [
    `seed ${seed}: ${packet.protocol} from ${side} ${packet.source}:${packet.sourcePort} to ${packet.destination}:${packet.destinationPort} mark ${mark.toString(16)}`,
    `  ${JSON.stringify(failed.settings)}`,
    `  ${difference}`,
    `  the engine says:\n    ${describeTrace(trace)}`,
    formatSave(failed.rules),
  ].join("\n");
}
