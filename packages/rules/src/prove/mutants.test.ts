import { describe, expect, test } from "vitest";
import { isNftRule } from "../hooks/any-rule.ts";
import type { RuleSet } from "../rule-set.ts";
import { randomSource } from "../testing/differential/random-source.ts";
import { mutateRules } from "../testing/mutants/mutate-rules.ts";
import { documentFixture, type ProveFixture, richFixture } from "../testing/prove-fixtures.ts";
import { toNumber } from "../trace/packet/fraction.ts";
import type { TraceRequest } from "../trace/packet/request.ts";
import { createTracer, type Trace } from "../trace/trace-packet.ts";
import type { Outcome } from "../trace/walk/outcome.ts";
import { proveRules } from "./prove-rules.ts";
import type { ProofPacket } from "./report/proof.ts";

const MUTANTS = 40;

describe.for([
  ["document", documentFixture()],
  ["document, IPv4", richFixture("document", 4)],
  ["kubernetes, IPv4", richFixture("kubernetes", 4)],
  ["kubernetes, IPv6", richFixture("kubernetes", 6)],
] as const)("mutants of the rules of %s", ([, fixture]) => {
  test("that hold treat every packet as before; one that breaks is shown by its packet", { timeout: 300_000 }, () => {
    const random = randomSource(20_261_122);
    const packets = probes(fixture);
    const before = fates(fixture, fixture.rules, packets);
    const counts = { held: 0, broken: 0, undecided: 0 };
    for (let number = 0; number < MUTANTS; number++) {
      const mutant = mutateRules(fixture.rules, random);
      if (mutant === undefined) continue;
      const proof = proveRules({ ...fixture, rules: mutant.rules });
      const after = fates(fixture, mutant.rules, packets);
      const changed = packets.filter((_packet, place) => before[place] !== after[place]);
      if (proof.holds) {
        counts.held++;
        const [packet] = changed.filter((request) => isPromised(fixture, request));
        expect(packet === undefined ? "" : `${mutant.told}: holds, but ${JSON.stringify(packet)} fares otherwise`).toBe(
          "",
        );
        continue;
      }
      const shown = proof.claims.flatMap(({ broken }) => broken).map(({ packet }) => packet);
      if (shown.length === 0) {
        counts.undecided++;
        continue;
      }
      counts.broken++;
      // Who is on which list no single trace tells: mutants.kernel.test.ts sends many packets of one client.
      if (mutant.told.includes("-m recent")) continue;
      const requests = shown.map(requestOf);
      const differs = requests.some(
        (request) => fates(fixture, fixture.rules, [request])[0] !== fates(fixture, mutant.rules, [request])[0],
      );
      expect(differs ? "" : `${mutant.told}: broken, but ${JSON.stringify(shown)} fare as before`).toBe("");
    }
    expect(counts.broken).toBeGreaterThan(MUTANTS / 4);
    expect(counts.held).toBeGreaterThan(0);
    expect(counts.undecided).toBeLessThan(MUTANTS / 10);
  });
});

/** What the plan leaves open may change: a deviation, or what conntrack calls INVALID. */
function isPromised({ deviations }: ProveFixture, { mark = 0 }: TraceRequest): boolean {
  return mark === 0 || deviations.every(({ kind }) => kind !== "whole-mark");
}

function requestOf({ state, ...packet }: ProofPacket): TraceRequest {
  return {
    ...packet,
    ...(state === "ESTABLISHED" || state === "RELATED" || state === "UNTRACKED" ? { state } : {}),
  };
}

/** A packet from everywhere to everything that has a name, and to what has none. */
function probes({ plan, family }: ProveFixture): readonly TraceRequest[] {
  const ofFamily = <Address extends string>(addresses: readonly Address[]) =>
    addresses.filter((address) => address.includes(":") === (family === 6));
  const pods = plan.hosts.flatMap(({ pods: own }) =>
    own.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  );
  const sources = ofFamily([...plan.host.addresses, ...pods.slice(0, 10)]);
  const hosts = ofFamily(plan.hosts.flatMap(({ addresses }) => addresses));
  const dialled = plan.ports.flatMap((port) =>
    port.family !== family
      ? []
      : port.frontends.flatMap(({ addresses, port: number }) =>
          ofFamily(addresses).map((to) => ({ to, port: number, protocol: port.port.protocol })),
        ),
  );
  const others = [...ofFamily(pods), ...hosts].flatMap((to) => [22, 80].map((port) => ({ to, port, protocol: "tcp" })));
  return sources.flatMap((from) =>
    [...dialled, ...others].filter(({ to }) => to !== from).map((target) => ({ from, ...target })),
  );
}

/** The fate of each packet: for a client that no list remembers, and for one of whom that is not known. */
function fates(
  { hostState, plan, deviations, isOwn }: ProveFixture,
  rules: RuleSet,
  packets: readonly TraceRequest[],
): string[] {
  const { recentLists: _, ...forgetful } = hostState;
  const tracers = [hostState, forgetful].map((state) =>
    createTracer({
      rules,
      hostState: state,
      isOwn: ({ table, chain, number }, rule) => !isNftRule(rule) && isOwn({ table, chain, number, rule }),
    }),
  );
  const clearsMark = deviations.every(({ kind }) => kind !== "mark-outlives-packet");
  const bit = 2 ** plan.node.masqueradeBit;
  return packets.map((packet) =>
    tracers.map((tracer) => fateOf(tracer.trace(packet), { bit, clearsMark })).join("\n\n"),
  );
}

/** Everything that the claims are about, as text. */
function fateOf({ branches }: Trace, { bit, clearsMark }: { bit: number; clearsMark: boolean }): string {
  const wayOf = ({ verdict, destination, source, mark, leftBy }: Outcome) => {
    const isGone = verdict === "dropped" || verdict === "refused";
    const told = leftBy === undefined || !clearsMark ? mark & ~bit : mark;
    return `${verdict} ${isGone ? "" : JSON.stringify([destination, source, leftBy, told])}`;
  };
  const fate = branches.map((branch) => {
    if (branch.kind === "undecided") {
      const ways = branch.possible.map(({ outcome }) => wayOf(outcome)).sort();
      return `undecided ${JSON.stringify(branch.question.match)} ${ways.join(", ")}`;
    }
    // A share may differ by what the kernel cannot tell.
    return `${toNumber(branch.probability).toFixed(8)} ${wayOf(branch.outcome)} ${branch.reply?.returns ?? ""}`;
  });
  return fate.sort().join("\n");
}
