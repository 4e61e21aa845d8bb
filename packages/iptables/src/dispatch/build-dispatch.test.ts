import type { Match, Rule } from "@svcproxy/rules";
import {
  addressFromBits,
  cidrContains,
  type Family,
  type IpAddress,
  type Port,
  type Protocol,
} from "@svcproxy/topology";
import fc from "fast-check";
import { expect, test } from "vitest";
import { documentMatches } from "../document/frontend-dispatch.ts";
import { hostCidr } from "../rule-parts/matches.ts";
import { jump } from "../rule-parts/targets.ts";
import { buildDispatch, type Dispatch, type DispatchEntry } from "./build-dispatch.ts";

interface Entry extends DispatchEntry {
  readonly name: string;
}

function entry(address: IpAddress | undefined, port: number, protocol: Protocol = "tcp"): Entry {
  return {
    ...(address !== undefined && { address }),
    protocol,
    port: port as Port,
    name: `${address ?? "any"} ${protocol} ${port}`,
  };
}

function ruleOf({ address, protocol, port, name }: Entry): Rule {
  const block = { protocol, ports: { from: port, to: port } };
  return {
    matches: documentMatches(address === undefined ? block : { ...block, cidr: hostCidr(address) }),
    target: jump(name),
  };
}

function dispatch(entries: readonly Entry[], family: Family = 4): Dispatch {
  return buildDispatch(entries, {
    family,
    chainPrefix: "KUBE-VIP-",
    leafRules: (leaf) => leaf.map(ruleOf),
    blockMatches: documentMatches,
  });
}

interface Packet {
  readonly address: IpAddress;
  readonly protocol: Protocol;
  readonly port: number;
}

function holds(match: Match, { address, protocol, port }: Packet): boolean {
  switch (match.kind) {
    case "destination":
      return cidrContains(match.cidr, address);
    case "protocol":
      return match.protocol === protocol;
    case "tcp":
    case "udp":
    case "sctp": {
      const ports = match.destinationPorts;
      return match.kind === protocol && (ports === undefined || (ports.from <= port && port <= ports.to));
    }
    default:
      throw new TypeError(match.kind);
  }
}

interface Found {
  readonly name: string | undefined;
  readonly steps: number;
}

/** Tells where a packet ends up, and past how many rules. */
function walker({ rules, chains }: Dispatch): (packet: Packet) => Found {
  const byName = new Map(chains.map((chain) => [chain.name, chain.rules]));
  return (packet) => {
    let steps = 0;
    const visit = (chain: readonly Rule[]): string | undefined => {
      for (const { matches, target } of chain) {
        steps++;
        if (!matches.every((match) => holds(match, packet)) || target.kind !== "jump") continue;
        const below = byName.get(target.chain);
        const name = below === undefined ? target.chain : visit(below);
        if (name !== undefined) return name;
      }
      return undefined;
    };
    return { name: visit(rules), steps };
  };
}

const ipv4 = (bits: number) => addressFromBits(4, BigInt(bits));
const protocols = fc.constantFrom<Protocol>("tcp", "udp", "sctp");
const port = fc.integer({ min: 1, max: 65535 });

/** Dense blocks, sparse ones, single addresses with many ports. */
const entriesOf = (family: Family) => {
  const anywhere = fc.bigInt({ min: 0n, max: 2n ** (family === 4 ? 32n : 128n) - 1n });
  const near = fc.integer({ min: 0, max: 2000 }).map((offset) => (10n << (family === 4 ? 24n : 120n)) + BigInt(offset));
  return fc.uniqueArray(
    fc
      .tuple(
        fc.oneof({ weight: 4, arbitrary: near }, anywhere, fc.constant(7n)),
        fc.oneof(fc.constant(80), port),
        protocols,
      )
      .map(([bits, number, protocol]) => entry(addressFromBits(family, bits), number, protocol)),
    { maxLength: 400, selector: ({ name }) => name },
  );
};

test.for([4, 6] as const)("every IPv%d packet ends where the rules one after the other would send it", (family) => {
  fc.assert(
    fc.property(
      entriesOf(family),
      fc.array(fc.tuple(fc.nat(), port, protocols), { maxLength: 20 }),
      (entries, probes) => {
        const walk = walker(dispatch(entries, family));
        for (const { address, protocol, port: number, name } of entries) {
          if (address !== undefined) expect(walk({ address, protocol, port: number }).name).toBe(name);
        }
        for (const [index, number, protocol] of probes) {
          const address = entries[index % Math.max(entries.length, 1)]?.address ?? ipv4(index % 2 ** 32);
          const known = entries.find(
            (each) => each.address === address && each.protocol === protocol && each.port === number,
          );
          expect(walk({ address, protocol, port: number }).name).toBe(known?.name);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test.for([
  ["dense", Array.from({ length: 10_000 }, (_, index) => entry(ipv4(0x0a600000 + index), 80))],
  ["sparse", Array.from({ length: 10_000 }, (_, index) => entry(ipv4((index * 2_654_435_761) % 2 ** 32), 80))],
  ["all on one address", Array.from({ length: 10_000 }, (_, index) => entry(ipv4(0x0a600000), index + 1))],
  ["NodePorts", Array.from({ length: 10_000 }, (_, index) => entry(undefined, 30_000 + index))],
] as const)("10,000 entries, %s: few rules to walk past, few chains, names that iptables takes", ([, entries]) => {
  const tree = dispatch(entries);
  const walk = walker(tree);
  const walks = entries.map(({ address, protocol, port: number, name }) => {
    const found = walk({ address: address ?? ipv4(1), protocol, port: number });
    return { ...found, wanted: name };
  });
  const steps = walks.map((each) => each.steps);
  expect(walks.filter(({ name, wanted }) => name !== wanted)).toEqual([]);
  expect(Math.max(...steps)).toBeLessThanOrEqual(16 * 5);
  expect(steps.reduce((sum, each) => sum + each, 0) / steps.length).toBeLessThan(40);
  expect(tree.chains.length).toBeLessThan(entries.length / 5);
  expect(new Set(tree.chains.map(({ name }) => name)).size).toBe(tree.chains.length);
  expect(tree.chains.filter(({ name }) => !/^[\w/.-]{1,28}$/.test(name))).toEqual([]);
});

test("a changed entry rewrites one chain, or that and its parent", () => {
  fc.assert(
    fc.property(entriesOf(4), fc.nat(), (entries, place) => {
      const removed = entries[place % Math.max(entries.length, 1)];
      const before = dispatch(entries);
      const after = dispatch(entries.filter((each) => each !== removed));
      const rulesByName = new Map(before.chains.map(({ name, rules }) => [name, JSON.stringify(rules)]));
      const changed = after.chains.filter(({ name, rules }) => rulesByName.get(name) !== JSON.stringify(rules));
      expect(changed.length).toBeLessThanOrEqual(2);
    }),
    { numRuns: 60 },
  );
});

test("few entries stand in one chain in their order", () => {
  const entries = [3, 1, 2].map((bits) => entry(ipv4(bits), 80));
  expect(dispatch(entries)).toEqual({ rules: entries.map(ruleOf), chains: [] });
});
