import { familyOf, type HostPlan, type IpAddress } from "@svcproxy/topology";
import type { ProofPacket } from "../prove/report/proof.ts";
import { type KernelOutcome, kernelOutcome } from "./differential/judge.ts";
import type { KernelWorld, SentPacket } from "./differential/kernel-world.ts";
import { address, type Side, WORLD } from "./differential/world-plan.ts";

/** A packet that is sent as often as it takes to see everything that may become of it. */
export interface KernelProbe {
  readonly sent: SentPacket;
  readonly repeats: number;
}

/** How often a probe came to which end. */
export type Fates = ReadonlyMap<string, number>;

/** So often not once is an even share missed in one of a thousand million runs. */
const REPEATS = 30;

/** From pods, the host and outside to every frontend, to pods, and to the host's own ports. */
export function planProbes(plan: HostPlan): readonly KernelProbe[] {
  const { from } = WORLD[4];
  const sources = (["pod1", "pod2", "outside", "host"] as const).flatMap((side) => from[side].slice(0, 1).map(address));
  const dialled = plan.ports
    .filter(({ family }) => family === 4)
    .flatMap(({ frontends, port: { protocol } }) =>
      frontends.flatMap(({ addresses, port, clients }) => {
        const isDrawn = Object.values(clients).some((one) => one.kind === "forward" && one.endpoints.length > 1);
        return addresses.map((to) => ({ target: { to, port, protocol }, repeats: isDrawn ? REPEATS : 1 }));
      }),
    )
    .filter(({ target: { to } }) => familyOf(to) === 4 && !to.startsWith("127."));
  const unrelated = ["10.1.0.2", "10.1.0.3", "10.2.0.2", "192.168.7.6", "203.0.113.9"].flatMap((to) =>
    (["tcp", "udp"] as const).flatMap((protocol) =>
      [22, 80].map((port) => ({ target: { to: address(to), port, protocol }, repeats: 1 })),
    ),
  );
  return sources.flatMap((from) =>
    [...dialled, ...unrelated]
      .filter(({ target }) => target.to !== from)
      .map(({ target, repeats }) => ({ sent: sentFrom({ ...target, from }), repeats })),
  );
}

/** A proof's packet, sent this often. @returns undefined for what a raw socket of the test cannot send */
export function probeOf(packet: ProofPacket, repeats: number): KernelProbe | undefined {
  const { protocol, state = "NEW" } = packet;
  if (state !== "NEW") return undefined;
  const known = PROTOCOLS.find((name) => name === protocol);
  return known === undefined ? undefined : { sent: sentFrom({ ...packet, protocol: known }), repeats };
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

function sentFrom({ from, to, protocol, port = 0, sourcePort = 40_000, mark = 0 }: SentEnds): SentPacket {
  const packet = { source: from, destination: to, protocol, sourcePort, destinationPort: port, id: 0 };
  return { side: sideOf(from), mark, packet };
}

/** Behind which interface an address lives: strict reverse-path filtering takes it from nowhere else. */
function sideOf(source: IpAddress): Side {
  const { from } = WORLD[4];
  if (from.host.includes(source)) return "host";
  if (source === "10.1.0.3") return "pod2";
  if (source.startsWith("10.1.0.")) return "pod1";
  return source.startsWith("10.2.0.") ? "remote" : "outside";
}

/**
 * Sends all, in the order of their marks.
 *
 * @param options.tellsOurBit whether what leaves is to be told apart by the bit that asks for masquerading
 */
export async function fatesOf(
  world: KernelWorld,
  probes: readonly KernelProbe[],
  { tellsOurBit }: { readonly tellsOurBit: boolean },
): Promise<readonly Fates[]> {
  const fates = probes.map(() => new Map<string, number>());
  for (const [mark, marked] of Map.groupBy(probes.entries(), ([, { sent }]) => sent.mark)) {
    await using _ = await markArrivals(world, mark);
    const planned = marked.flatMap(([place, { sent, repeats }]) =>
      Array.from({ length: repeats }, () => ({ place, sent })),
    );
    const packets = planned.map(({ sent }, at) => ({
      ...sent,
      // A connection that is remembered would keep what it once drew.
      packet: { ...sent.packet, id: at + 1, sourcePort: sent.packet.sourcePort + (at % 20_000) },
    }));
    const seen = Map.groupBy(await world.send(packets), ({ id }) => id);
    for (const [at, { place }] of planned.entries()) {
      const fate = describeFate(kernelOutcome(seen.get(at + 1) ?? [], world.interfaceName), tellsOurBit);
      const counted = fates[place];
      counted?.set(fate, (counted.get(fate) ?? 0) + 1);
    }
  }
  return fates;
}

/** Lets all packets that arrive have a mark before any rule sees them; only those of the host itself bring their own. */
async function markArrivals(world: KernelWorld, mark: number): Promise<AsyncDisposable> {
  if (mark === 0) return { [Symbol.asyncDispose]: async () => undefined };
  const chain = `chain marks { type filter hook prerouting priority -450; meta iif != "lo" meta mark set ${mark}; }`;
  await world.run("nft", ["-f", "-"], `table inet marks {\n${chain}\n}\n`);
  return { [Symbol.asyncDispose]: async () => void (await world.run("nft", ["delete", "table", "inet", "marks"])) };
}

/** All that the plan is about. NAT draws source ports, and what stays may keep the bit that asks for it. */
function describeFate(outcome: KernelOutcome, tellsOurBit: boolean): string {
  if (outcome.kind !== "delivered") return outcome.kind;
  const { by, source, destination, mark } = outcome;
  const told = mark === undefined ? null : by === "" || !tellsOurBit ? mark & ~MASQUERADE_BIT : mark;
  return JSON.stringify([by, source.address, destination, told]);
}

const MASQUERADE_BIT = 0x4000;

/** Whether two runs of the same probe differ by more than chance: an end that the other never came to, or far more often. */
export function hasChanged(before: Fates | undefined, after: Fates | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after;
  return [...new Set([...before.keys(), ...after.keys()])].some((end) => {
    const [one, other] = [before.get(end) ?? 0, after.get(end) ?? 0];
    if (one === 0 || other === 0) return true;
    const [sentOne, sentOther] = [total(before), total(after)];
    const share = (one + other) / (sentOne + sentOther);
    const deviation = Math.sqrt(share * (1 - share) * (1 / sentOne + 1 / sentOther));
    return Math.abs(one / sentOne - other / sentOther) > SURE_DEVIATIONS * deviation;
  });
}

/** Of the normal distribution: seen by chance once in a thousand million comparisons. */
const SURE_DEVIATIONS = 6;

function total(fates: Fates): number {
  return [...fates.values()].reduce((sum, count) => sum + count, 0);
}
