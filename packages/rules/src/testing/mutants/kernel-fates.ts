import type { IpAddress } from "@svcproxy/topology";
import type { ProofPacket } from "../../prove/report/proof.ts";
import { type KernelOutcome, kernelOutcome } from "../differential/judge.ts";
import type { KernelWorld, Seen, SentPacket } from "../differential/kernel-world.ts";
import { type Side, WORLD } from "../differential/world-plan.ts";

/** A packet that is sent as often as it takes to see everything that may become of it. */
export interface KernelProbe {
  readonly sent: SentPacket;
  readonly repeats: number;
  /** Whether its receiver answers, and whether that comes back counts. */
  readonly isAnswered?: boolean;
  /** Sources of which each repeat takes the next, where one client is remembered. */
  readonly clients?: readonly IpAddress[];
  /** Endpoints that are one to the test: a client that is remembered draws once, and which one it drew shows nothing. */
  readonly alike?: ReadonlySet<IpAddress>;
}

/** How often a probe came to which end. */
export type Fates = ReadonlyMap<string, number>;

/** A proof's packet, sent this often. @returns undefined for what a raw socket of the test cannot send */
export function probeOf(packet: ProofPacket, repeats: number): KernelProbe | undefined {
  const { protocol, state = "NEW", from, to } = packet;
  // What a sender has for itself does not leave it, whatever a stranger may put on the wire.
  if (state !== "NEW" || from === to || isPastHost(from, to)) return undefined;
  const known = PROTOCOLS.find((name) => name === protocol);
  return known === undefined
    ? undefined
    : { sent: sentFrom({ ...packet, protocol: known }), repeats, isAnswered: packet.mark === undefined };
}

/** To its own neighbours the network outside sends past the host. */
function isPastHost(from: IpAddress, to: IpAddress): boolean {
  return sideOf(from) === "outside" && to.startsWith("192.168.7.") && !WORLD[4].from.host.includes(to);
}

const PROTOCOLS = ["tcp", "udp", "sctp", "icmp"] as const;

interface SentEnds {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly protocol: SentPacket["packet"]["protocol"];
  readonly port?: number;
  readonly sourcePort?: number;
  readonly mark?: number;
}

export function sentFrom({ from, to, protocol, port = 0, sourcePort = FIRST_PORT, mark = 0 }: SentEnds): SentPacket {
  const packet = { source: from, destination: to, protocol, sourcePort, destinationPort: port, id: 0 };
  return { side: sideOf(from), mark, packet };
}

const FIRST_PORT = 40_000;

/** Behind which interface an address lives: strict reverse-path filtering takes it from nowhere else. */
function sideOf(source: IpAddress): Side {
  const { from } = WORLD[4];
  if (from.host.includes(source)) return "host";
  if (source === "10.1.0.3") return "pod2";
  if (source.startsWith("10.1.0.")) return "pod1";
  return source.startsWith("10.2.0.") ? "remote" : "outside";
}

interface Planned {
  /** Of the probe. */
  readonly place: number;
  readonly sent: SentPacket;
  readonly id: number;
}

/**
 * Sends all, in the order of their marks. Connections are forgotten before: one that is remembered keeps what it once drew.
 *
 * @param options.tellsOurBit whether what leaves is to be told apart by the bit that asks for masquerading
 */
export async function fatesOf(
  world: KernelWorld,
  probes: readonly KernelProbe[],
  { tellsOurBit }: { readonly tellsOurBit: boolean },
): Promise<readonly Fates[]> {
  await world.run("conntrack", ["-F"]);
  const fates = probes.map(() => new Map<string, number>());
  let id = 0;
  for (const [mark, marked] of Map.groupBy(probes.entries(), ([, { sent }]) => sent.mark)) {
    await using _ = await markArrivals(world, mark);
    const planned = marked.flatMap(([place, probe]) =>
      Array.from({ length: probe.repeats }, (_unused, at): Planned => {
        id++;
        const { packet, side } = probe.sent;
        const source = probe.clients?.[at % probe.clients.length] ?? packet.source;
        const sourcePort = packet.sourcePort + (id % 20_000);
        return { place, id, sent: { side, mark, packet: { ...packet, source, sourcePort, id } } };
      }),
    );
    const seen = Map.groupBy(await world.send(planned.map(({ sent }) => sent)), (one) => one.id);
    const outcomes = planned.map((one) => ({
      ...one,
      outcome: kernelOutcome(seen.get(one.id) ?? [], world.interfaceName),
    }));
    const told = outcomes.map((one) =>
      describeFate(one.outcome, { tellsOurBit, sent: one.sent, alike: probes[one.place]?.alike }),
    );
    const back = mark === 0 ? await answer(world, { outcomes, told, probes }) : new Map<string, string>();
    for (const [at, { place }] of planned.entries()) {
      const way = told[at] ?? "";
      const fate = `${way}${back.get(`${place} ${way}`) ?? ""}`;
      const counted = fates[place];
      counted?.set(fate, (counted.get(fate) ?? 0) + 1);
    }
  }
  return fates;
}

interface Answering {
  readonly outcomes: readonly (Planned & { readonly outcome: KernelOutcome })[];
  readonly told: readonly string[];
  readonly probes: readonly KernelProbe[];
}

/** Answers one packet of each probe and end. @returns whether it came back, by probe and end */
async function answer(world: KernelWorld, { outcomes, told, probes }: Answering): Promise<ReadonlyMap<string, string>> {
  const asked = new Map<string, { readonly sent: SentPacket; readonly reply: SentPacket }>();
  for (const [at, { place, sent, id, outcome }] of outcomes.entries()) {
    const key = `${place} ${told[at] ?? ""}`;
    if (probes[place]?.isAnswered !== true || asked.has(key)) continue;
    const reply = answerTo(outcome, sent, FIRST_ANSWER + id);
    if (reply !== undefined) asked.set(key, { sent, reply });
  }
  const seen = Map.groupBy(await world.send([...asked.values()].map(({ reply }) => reply)), ({ id }) => id);
  return new Map(
    [...asked].map(([key, { sent, reply }]) => [
      key,
      cameBack(sent, seen.get(reply.packet.id) ?? []) ? ", answered" : ", its answer lost",
    ]),
  );
}

const FIRST_ANSWER = 1_000_000;

/** From where it arrived, with its ends swapped. A second SYN is what conntrack takes for an answer as well. */
function answerTo(outcome: KernelOutcome, { packet }: SentPacket, id: number): SentPacket | undefined {
  if (outcome.kind !== "delivered" || packet.protocol === "icmp") return undefined;
  const { by, source, destination } = outcome;
  const side: Side =
    by === "" ? "host" : by === "flannel.1" ? "remote" : by === "eth0" ? "outside" : podOf(destination.address);
  return {
    side,
    mark: 0,
    packet: {
      source: destination.address,
      destination: source.address,
      protocol: packet.protocol,
      sourcePort: destination.ports?.from ?? 0,
      destinationPort: source.ports?.from ?? 0,
      id,
    },
  };
}

function podOf(address: IpAddress): Side {
  return address === "10.1.0.3" ? "pod2" : "pod1";
}

function cameBack({ side, packet }: SentPacket, seen: readonly Seen[]): boolean {
  return seen.some(
    ({ where, observation: { packet: got } }) =>
      where === (side === "host" ? "input" : side) &&
      got.source === packet.destination &&
      got.sourcePort === packet.destinationPort &&
      got.destination === packet.source &&
      got.destinationPort === packet.sourcePort,
  );
}

/** Lets all packets that arrive have a mark before any rule sees them; only those of the host itself bring their own. */
async function markArrivals(world: KernelWorld, mark: number): Promise<AsyncDisposable> {
  if (mark === 0) return { [Symbol.asyncDispose]: async () => undefined };
  const chain = `chain marks { type filter hook prerouting priority -450; meta iif != "lo" meta mark set ${mark}; }`;
  await world.run("nft", ["-f", "-"], `table inet marks {\n${chain}\n}\n`);
  return { [Symbol.asyncDispose]: async () => void (await world.run("nft", ["delete", "table", "inet", "marks"])) };
}

interface Telling {
  readonly tellsOurBit: boolean;
  readonly sent: SentPacket;
  readonly alike: ReadonlySet<IpAddress> | undefined;
}

/** All that the plan is about. NAT draws source ports, and what stays may keep the bit that asks for it. */
function describeFate(outcome: KernelOutcome, { tellsOurBit, sent, alike }: Telling): string {
  if (outcome.kind !== "delivered") return outcome.kind;
  const { by, source, destination, mark } = outcome;
  const told = mark === undefined ? null : by === "" || !tellsOurBit ? mark & ~MASQUERADE_BIT : mark;
  if (alike?.has(destination.address) === true) return JSON.stringify(["one of its endpoints", told]);
  const from = source.address === sent.packet.source ? "itself" : source.address;
  return JSON.stringify([by, from, destination, told]);
}

const MASQUERADE_BIT = 0x4000;

/** Whether two runs of the same probe differ by more than chance: in an end that only one came to, or in how often. */
export function hasChanged(before: Fates | undefined, after: Fates | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after;
  const ends = [...new Set([...before.keys(), ...after.keys()])];
  if (ends.some((end) => !before.has(end) || !after.has(end))) return true;
  const limit = CRITICAL[ends.length - 2];
  return limit !== undefined && chiSquare(ends.map((end) => [before.get(end) ?? 0, after.get(end) ?? 0])) > limit;
}

/** Of two rows of counts, whether they are of one distribution. */
function chiSquare(columns: readonly (readonly [number, number])[]): number {
  const sums = [0, 1].map((row) => columns.reduce((sum, column) => sum + (column[row] ?? 0), 0));
  const all = (sums[0] ?? 0) + (sums[1] ?? 0);
  let result = 0;
  for (const column of columns) {
    for (const [row, count] of column.entries()) {
      const expected = ((column[0] + column[1]) * (sums[row] ?? 0)) / all;
      result += (count - expected) ** 2 / expected;
    }
  }
  return result;
}

/** What χ² exceeds by chance once in a million times, for 1, 2, … degrees of freedom. */
const CRITICAL = [23.93, 27.63, 30.66, 33.38, 35.89, 38.26, 40.52] as const;
