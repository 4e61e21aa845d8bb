import type { Family } from "@svcproxy/topology";
import type { TraceRequest } from "../../trace/packet/request.ts";
import type { Trace, Tracer } from "../../trace/trace-packet.ts";
import { buildPacket } from "./build-packet.ts";
import { describeTrace, judge, type KernelOutcome, kernelOutcome, repeatsFor } from "./judge.ts";
import type { KernelWorld, SentPacket } from "./kernel-world.ts";
import { randomPacket } from "./random-packet.ts";
import { type RandomSource, randomSource } from "./random-source.ts";
import { ENTRY, MAC_OF, type WorldSettings } from "./world-plan.ts";

/** What is loaded for many packets: rules of some kind, and the host's settings. */
export interface Loaded {
  readonly settings: WorldSettings;
}

/** What the kernel and the engine are both asked about. */
export type CaseOf<Rules extends Loaded> = Rules & { readonly sent: SentPacket };

/** One kind of rules that the loop can draw, load, trace and make smaller. */
export interface Subject<Rules extends Loaded> {
  draw(random: RandomSource, family: Family): Rules;
  /** @returns why the kernel does not take them, or why they are not asked about */
  load(rules: Rules): Promise<string | undefined>;
  /** Asked after loading; good for many packets, whatever they leave behind. */
  tracerOf(rules: Rules): Promise<Tracer>;
  /** Knows what the packets so far left behind as well, so that it is good for the next one alone. Absent: there is no such thing. */
  tracerOfNow?(rules: Rules): Promise<Tracer>;
  /** As small as it stays a failure. */
  shrink(failed: CaseOf<Rules>, stillFails: (smaller: CaseOf<Rules>) => Promise<boolean>): Promise<CaseOf<Rules>>;
  format(rules: Rules): string;
}

export interface Disagreement {
  readonly seed: number;
  /** What was seen, what was said, and the rules, already shrunk. */
  readonly text: string;
}

export interface DifferentialOptions {
  readonly seed: number;
  readonly ruleSets: number;
  readonly packetsPerRuleSet: number;
  /** The run ends early once this many disagreements were found. */
  readonly stopAfter: number;
}

export interface DifferentialResult {
  readonly pairs: number;
  readonly packets: number;
  /** Pairs whose trace had a question in it. */
  readonly undecided: number;
  /** Why, by how often. */
  readonly questions: ReadonlyMap<string, number>;
  /** By verdict, how often the engine said so: a run in which everything is dropped shows nothing. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly disagreements: readonly Disagreement[];
  /** Rule sets that the kernel did not take, with its words, or that mean something else there. */
  readonly refused: readonly string[];
}

/** Asks the kernel and the engine about random rules and packets. */
export async function runLoop<Rules extends Loaded>(
  world: KernelWorld,
  subject: Subject<Rules>,
  options: DifferentialOptions,
): Promise<DifferentialResult> {
  const disagreements: Disagreement[] = [];
  const refused: string[] = [];
  const verdicts: Record<string, number> = {};
  const questions = new Map<string, number>();
  let pairs = 0;
  let packets = 0;
  let undecided = 0;
  for (let index = 0; index < options.ruleSets && disagreements.length < options.stopAfter; index++) {
    const seed = options.seed + index;
    const random = randomSource(seed);
    const family: Family = random.chance(0.7) ? 4 : 6;
    const rules = subject.draw(random, family);
    const fault = await subject.load(rules);
    if (fault !== undefined) {
      refused.push(`seed ${seed}: ${fault.split("\n").slice(0, 3).join(" ")}`);
      continue;
    }
    const sent = Array.from({ length: options.packetsPerRuleSet }, (_, at) => randomPacket(random, family, at + 1));
    for (const { trace, repeats, difference, ...asked } of await askLoaded(world, subject, { rules, sent })) {
      pairs++;
      packets += repeats;
      for (const branch of trace.branches) {
        const verdict = branch.kind === "decided" ? branch.outcome.verdict : "undecided";
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
      }
      const [question] = trace.branches.flatMap((branch) => (branch.kind === "undecided" ? [branch.question] : []));
      if (question !== undefined) {
        undecided++;
        questions.set(question.because, (questions.get(question.because) ?? 0) + 1);
      }
      if (difference === undefined || disagreements.length >= options.stopAfter) continue;
      const text = await confirm(world, subject, { ...rules, sent: asked.sent });
      if (text !== undefined) disagreements.push({ seed, text: `seed ${seed}: ${text}` });
    }
  }
  return { pairs, packets, undecided, questions, verdicts, disagreements, refused };
}

/** Sends it once more, then makes it smaller. @returns undefined where the machine lost the packet once, which shows nothing */
async function confirm<Rules extends Loaded>(
  world: KernelWorld,
  subject: Subject<Rules>,
  failed: CaseOf<Rules>,
): Promise<string | undefined> {
  const ask = async (one: CaseOf<Rules>): Promise<Asked | undefined> => {
    if ((await subject.load(one)) !== undefined) return undefined;
    const [asked] = await askLoaded(world, subject, { rules: one, sent: [one.sent] });
    return asked;
  };
  const disagrees = async (one: CaseOf<Rules>) => (await ask(one))?.difference !== undefined;
  if (!(await disagrees(failed))) return undefined;
  const smallest = await subject.shrink(failed, disagrees);
  const last = await ask(smallest);
  const { side, packet, mark } = smallest.sent;
  return [
    `${packet.protocol} from ${side} ${packet.source}:${packet.sourcePort} to ${packet.destination}:${packet.destinationPort} mark ${mark.toString(16)}`,
    `  ${JSON.stringify(smallest.settings)}`,
    `  ${last?.difference ?? "it failed while it was larger"}`,
    `  the engine says:\n    ${last === undefined ? "" : describeTrace(last.trace)}`,
    subject.format(smallest),
  ].join("\n");
}

/** Asks about all packets at once; about those that are open then, one by one, with what is known right before each. */
async function askLoaded<Rules extends Loaded>(
  world: KernelWorld,
  subject: Subject<Rules>,
  { rules, sent }: { readonly rules: Rules; readonly sent: readonly SentPacket[] },
): Promise<readonly Asked[]> {
  const answers = [...(await askPackets(world, { tracer: await subject.tracerOf(rules), sent }))];
  if (subject.tracerOfNow === undefined) return answers;
  for (const [at, { trace, sent: packet, difference }] of answers.entries()) {
    if (difference !== undefined || trace.branches.every(({ kind }) => kind === "decided")) continue;
    const now = await askOnce(world, { tracer: await subject.tracerOfNow(rules), sent: packet });
    if (now.difference !== undefined || now.trace.branches.every(({ kind }) => kind === "decided")) answers[at] = now;
  }
  return answers;
}

/** Sends a packet a single time, however many ways it has. */
async function askOnce(
  world: KernelWorld,
  { tracer, sent }: { readonly tracer: Tracer; readonly sent: SentPacket },
): Promise<Asked> {
  const trace = tracer.trace(requestOf(sent));
  const seen = await world.send([{ ...sent, packet: { ...sent.packet, id: 1 } }]);
  const observed = [kernelOutcome(seen, world.interfaceName)];
  return { sent, observed, trace, repeats: 1, difference: judge(trace, observed) };
}

export interface Asked {
  readonly sent: SentPacket;
  readonly observed: readonly KernelOutcome[];
  readonly trace: Trace;
  readonly repeats: number;
  readonly difference: string | undefined;
}

/** Sends packets to the rules that are loaded, and compares. */
export async function askPackets(
  world: KernelWorld,
  { tracer, sent: packets }: { readonly tracer: Tracer; readonly sent: readonly SentPacket[] },
): Promise<readonly Asked[]> {
  let nextId = 1;
  const planned = packets.map((sent) => {
    const trace = tracer.trace(requestOf(sent));
    const ids = Array.from({ length: repeatsFor(trace) }, () => nextId++);
    return { sent, trace, ids };
  });
  const seen = await world.send(
    planned.flatMap(({ sent, ids }) => ids.map((id) => ({ ...sent, packet: { ...sent.packet, id } }))),
  );
  const byId = Map.groupBy(seen, ({ id }) => id);
  return planned.map(({ sent, trace, ids }) => {
    const observed = ids.map((id) => kernelOutcome(byId.get(id) ?? [], world.interfaceName));
    return { sent, observed, trace, repeats: ids.length, difference: judge(trace, observed) };
  });
}

export function randomSettings(random: RandomSource): WorldSettings {
  return {
    rpFilter: random.pick([1, 1, 2, 0] as const),
    bridgeNf: random.chance(0.75),
    routeLocalnet: random.chance(0.2),
    forwarding: random.chance(0.93),
  };
}

/** The engine's words for a packet that the kernel gets, with everything about it that a rule may ask. */
export function requestOf({ side, packet, mark }: SentPacket): TraceRequest {
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
