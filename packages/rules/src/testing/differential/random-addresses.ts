import { type Cidr, cidrOf, type Family, type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { RandomSource } from "./random-source.ts";
import { SIDES, WORLD } from "./world-plan.ts";

/** Every address that may be met, and blocks around them. */
export function randomBlock(random: RandomSource, family: Family): Cidr {
  const world = WORLD[family];
  const text = random.chance(0.35)
    ? random.pick(world.blocks)
    : random.pick([...SIDES.flatMap((side) => world.from[side]), ...world.services, ...world.odd]);
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new TypeError(`no block: ${text}`);
  return cidr;
}

export function randomAddress(random: RandomSource, texts: readonly string[]): IpAddress {
  const text = random.pick(texts);
  const address = parseIpAddress(text);
  if (address === undefined) throw new TypeError(`no address: ${text}`);
  return address;
}

export function randomRange(random: RandomSource, family: Family): { from: IpAddress; to: IpAddress } {
  const [from, to] = random.pick<readonly [string, string]>(
    family === 4
      ? ([
          ["10.1.0.0", "10.1.0.2"],
          ["10.0.0.0", "10.100.100.1"],
          ["192.168.7.1", "192.168.7.60"],
        ] as const)
      : ([
          ["fd01::", "fd01::2"],
          ["fd00::", "fd64::1"],
          ["fd07::1", "fd07::60"],
        ] as const),
  );
  return { from: randomAddress(random, [from]), to: randomAddress(random, [to]) };
}

export function singleBlock(address: IpAddress): Cidr {
  return cidrOf(address, address.includes(":") ? 128 : 32);
}
