import type { Family } from "@svcproxy/topology";
import { isLoopbackAddress } from "../../host/interface-kind.ts";
import type { Match } from "../../match.ts";
import type { Rule } from "../../rule-set.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { createTracer } from "../../trace/trace-packet.ts";
import { randomSettings, requestOf } from "./differential-loop.ts";
import { type Case, loadRules } from "./differential-run.ts";
import { describeTrace, kernelOutcome } from "./judge.ts";
import { type KernelWorld, type Seen, type SentPacket, sysctlsOf } from "./kernel-world.ts";
import { randomBlock } from "./random-addresses.ts";
import { range } from "./random-matches.ts";
import { randomPacket } from "./random-packet.ts";
import { randomRuleSet } from "./random-rules.ts";
import { type RandomSource, randomSource } from "./random-source.ts";
import { withRule } from "./with-rule.ts";
import { type Side, WORLD } from "./world-plan.ts";

export interface ReplyResult {
  /** Requests that were answered. */
  readonly answered: number;
  /** Of these, whose answer came back to the client with the address that it had dialled. */
  readonly returned: number;
  readonly disagreements: readonly string[];
}

/** Lets the packets' receivers answer, and compares what comes back with what the engine says. */
export async function runReplies(
  world: KernelWorld,
  options: { readonly seed: number; readonly ruleSets: number; readonly packetsPerRuleSet: number },
): Promise<ReplyResult> {
  // Answers need connections that are remembered until they come.
  await world.run("sysctl", ["-qw", "net.netfilter.nf_conntrack_udp_timeout=60"]);
  const disagreements: string[] = [];
  let answered = 0;
  let returned = 0;
  for (let index = 0; index < options.ruleSets; index++) {
    const random = randomSource(options.seed + index);
    const family: Family = random.chance(0.7) ? 4 : 6;
    const plain = randomRuleSet(random, family);
    // Some of the answers, or of the requests, are kept from conntrack.
    const rules = random.chance(0.3)
      ? withRule(plain, { table: "raw", chain: random.pick(["PREROUTING", "OUTPUT"]) }, untracking(random, family))
      : plain;
    const settings = randomSettings(random);
    if ((await loadRules(world, { rules, settings, variant: "legacy" })) !== undefined) continue;
    const tracer = createTracer({ rules, hostState: { ...world.hostState, sysctls: sysctlsOf(settings) } });
    const drawn = Array.from({ length: options.packetsPerRuleSet }, (_, at): Case => {
      const sent = randomPacket(random, family, at + 1);
      return { rules, settings, sent: { ...sent, packet: { ...sent.packet, protocol: "udp" } } };
    });
    const cases = drawn.filter(({ sent }) => hasReturnAddress(sent));
    const seen = Map.groupBy(await world.send(cases.map(({ sent }) => sent)), ({ id }) => id);
    const replies = cases.flatMap((one) => answerTo(one, seen.get(one.sent.packet.id) ?? []));
    const alike = Map.groupBy(replies, ({ reply }) => tupleText(reply));
    const back = Map.groupBy(await world.send(replies.map(({ reply }) => reply)), ({ id }) => id);
    for (const { request, reply } of replies) {
      const trace = tracer.trace(requestOf(request.sent));
      const [branch, another] = trace.branches;
      // What hangs on chance, on what is unknown, or on other hosts' routes has no single answer to compare.
      if (branch?.kind !== "decided" || another !== undefined || branch.reply?.returns === undefined) continue;
      if (branch.reply.past === undefined && !reply.side.startsWith("pod")) continue;
      // Nor where two requests were mapped to one: conntrack knows one of them.
      if (alike.get(tupleText(reply))?.length !== 1) continue;
      // A rule that gives a client an address of whoever answers makes that one answer itself: not modelled.
      if (WORLD[family].from[reply.side].includes(reply.packet.destination)) continue;
      // Nor does anyone answer a loopback address over the wire, as the test's raw packets do.
      if (isLoopbackAddress(reply.packet.destination)) continue;
      answered++;
      const came = cameBack(request.sent, back.get(reply.packet.id) ?? [], world);
      if (came) returned++;
      if (came === branch.reply.returns) continue;
      disagreements.push(
        [
          `seed ${options.seed + index}: udp from ${request.sent.side} ${request.sent.packet.source}:${request.sent.packet.sourcePort} to ${request.sent.packet.destination}:${request.sent.packet.destinationPort}`,
          `  ${JSON.stringify(settings)}`,
          `  answered from ${reply.side} ${reply.packet.source} to ${reply.packet.destination}: it ${came ? "came back" : "did not come back"}`,
          `  the engine says: ${branch.reply.because}\n    ${describeTrace(trace)}`,
          formatSave(rules),
        ].join("\n"),
      );
    }
  }
  return { answered, returned, disagreements };
}

function untracking(random: RandomSource, family: Family): Rule {
  const isAnswer = random.chance(0.7);
  const ends: Match = { kind: isAnswer ? "source" : "destination", negated: false, cidr: randomBlock(random, family) };
  const ports = { ...range(random), negated: false };
  return {
    matches: [
      ...(random.chance(0.4) ? [ends] : []),
      { kind: "protocol", negated: false, protocol: "udp" },
      { kind: "udp", ...(isAnswer ? { sourcePorts: ports } : { destinationPorts: ports }) },
    ],
    target: { kind: "ct", notrack: true, words: [] },
  };
}

function tupleText({ packet: { source, sourcePort, destination, destinationPort } }: SentPacket): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort}`;
}

/** A borrowed source address within the world has somebody else, or nobody, at home. */
function hasReturnAddress({ packet: { source } }: SentPacket): boolean {
  return !["10.1.0.9", "fd01::9", "192.168.7.1", "203.0.113.5", "2001:db8::5"].includes(source);
}

/** Numbers of answers start here. */
const ANSWERS = 0x1000000;

interface Answer {
  readonly request: Case;
  readonly reply: SentPacket;
}

function answerTo(request: Case, seen: readonly Seen[]): readonly Answer[] {
  const input = seen.find(({ where, observation }) => where === "input" && observation.packet.kind === "probe");
  const arrived = input ?? seen.find(({ where, observation }) => isOther(where) && observation.packet.kind === "probe");
  if (arrived === undefined) return [];
  const side: Side = isOther(arrived.where) ? arrived.where : "host";
  const { source, destination, sourcePort, destinationPort } = arrived.observation.packet;
  const { packet } = request.sent;
  const reply = { source: destination, destination: source, sourcePort: destinationPort, destinationPort: sourcePort };
  return [{ request, reply: { side, mark: 0, packet: { ...packet, ...reply, id: ANSWERS + packet.id } } }];
}

function isOther(where: Seen["where"]): where is Exclude<Side, "host"> {
  return where !== "input" && where !== "postrouting" && where !== "error";
}

/** Whether the client got an answer from whom it had dialled. */
function cameBack({ side, packet }: SentPacket, seen: readonly Seen[], world: KernelWorld): boolean {
  const fits = ({ observation }: Seen) =>
    observation.packet.kind === "probe" &&
    observation.packet.source === packet.destination &&
    observation.packet.sourcePort === packet.destinationPort &&
    observation.packet.destination === packet.source &&
    observation.packet.destinationPort === packet.sourcePort;
  if (side === "host") return seen.some((one) => one.where === "input" && fits(one));
  const left = kernelOutcome(seen, world.interfaceName);
  return seen.some(
    (one) => (one.where === side || (one.where === "postrouting" && left.kind === "delivered")) && fits(one),
  );
}
