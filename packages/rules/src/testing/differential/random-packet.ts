import type { Family } from "@svcproxy/topology";
import type { SentPacket } from "./kernel-world.ts";
import { randomAddress } from "./random-addresses.ts";
import type { RandomSource } from "./random-source.ts";
import { PORTS, SIDES, type Side, WORLD } from "./world-plan.ts";

/** A packet from any side to anything that has a name in the world. */
export function randomPacket(random: RandomSource, family: Family, id: number): SentPacket {
  const world = WORLD[family];
  const side = random.pick(SIDES);
  const own = world.from[side];
  // A raw socket cannot take another's address for its own on the host: there, every address is one of its own.
  const source = random.chance(side === "host" ? 0.4 : 0.75) ? own.slice(0, 1) : own;
  const others = SIDES.filter((other) => other !== side).flatMap((other) => world.from[other]);
  const elsewhere = side === "host" ? [...world.from.host, ...others] : others;
  const destinations = random.chance(0.55)
    ? world.services
    : random.chance(0.08)
      ? world.odd
      : elsewhere.filter(
          (address) => isReachable(address, side) && !own.slice(0, side === "host" ? 0 : own.length).includes(address),
        );
  return {
    side,
    mark: side === "host" && random.chance(0.2) ? random.pick([1, 0x4000, 0x100, 0x4001]) : 0,
    packet: {
      source: randomAddress(random, source),
      destination: randomAddress(random, destinations),
      protocol: random.pick(["tcp", "udp", "udp", "tcp", "icmp", "sctp"] as const),
      sourcePort: 40000 + (id % 20000),
      destinationPort: random.pick(PORTS),
      id,
      // The way of what the host sends hangs on its socket's type of service, not on the header's.
      ...(side !== "host" && random.chance(0.15) ? { tos: random.pick([0x10, 0x28, 0x08]) } : {}),
    },
  };
}

/** What a side's own network would not hand to the host: loopbacks, and its neighbours behind no router. */
function isReachable(address: string, side: Side): boolean {
  if (side === "host") return true;
  if (address.startsWith("127.") || address === "::1") return false;
  if (side === "outside")
    return !address.startsWith("192.168.7.") || address === "192.168.7.6" || address === "192.168.7.60";
  return !((side === "pod1" || side === "pod2") && (address === "10.1.0.9" || address === "fd01::9"));
}
