import type { Family } from "@svcproxy/topology";
import { InputError, parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { applyCommands } from "../../rule-sets/apply-commands.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { parseCommands } from "../../rule-sets/parse-commands.ts";
import { randomPacket } from "../../testing/differential/random-packet.ts";
import { randomRuleSet } from "../../testing/differential/random-rules.ts";
import { randomSource } from "../../testing/differential/random-source.ts";
import { WORLD } from "../../testing/differential/world-plan.ts";
import { difference, provedOutcomes, tracedOutcomes, worldHostState } from "../../testing/prover-agrees.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { TraceRequest } from "../../trace/packet/request.ts";
import { createTracer, type Trace, type Tracer } from "../../trace/trace-packet.ts";
import { ALL_PORTS, ALL_PROTOCOLS, ALL_STATES } from "../compile/condition.ts";
import { proofContexts } from "../compile/proof-context.ts";
import { unite } from "../space/index-set.ts";
import { ANY_MARK } from "../space/mark-set.ts";
import { enteringState, walkHost } from "./walk-host.ts";

const RULE_SETS = 60;
const PACKETS = 40;

/** The tracer is tested against the kernel; here the sets of the prover are tested against the tracer. */
test.for([4, 6] as const)(
  "IPv%i: a packet fares in the prover's sets as the tracer says",
  { timeout: 60_000 },
  (family) => {
    const hostState = worldHostState(family);
    let compared = 0;
    for (let seed = 1; seed <= RULE_SETS; seed++) {
      const random = randomSource(seed * 7919 + family);
      const rules = randomRuleSet(random, family);
      const [context] = proofContexts([{ rules, hostState }], (builder) => {
        for (const text of worldAddresses(family)) builder.addAddress(text);
      });
      if (context === undefined) throw new Error("no context");
      const all = {
        ...{ destination: context.space.everything, sourcePort: ALL_PORTS, destinationPort: ALL_PORTS },
        ...{ protocol: ALL_PROTOCOLS, state: ALL_STATES, mark: ANY_MARK },
      };
      const ends = {
        host: walkHost(context, enteringState({ ...all, source: context.host.local }, "host")),
        network: walkHost(context, enteringState({ ...all, source: unite(context.host.arriving.values()) }, "network")),
      };
      const tracer = createTracer({ rules, hostState });
      for (let id = 0; id < PACKETS; id++) {
        const request = randomRequest(random, family, id);
        const trace = tryTrace(tracer, request);
        if (trace === undefined) continue;
        const from = trace.entry.kind === "local" ? "host" : "network";
        const traced = tracedOutcomes(trace);
        const proved = provedOutcomes(ends[from], request, context);
        // A source that strict filtering lets in by no interface is in no set.
        if (from === "network" && proved?.size === 0) continue;
        const off = difference(traced, proved);
        expect(off === undefined ? "" : `seed ${seed}\n${JSON.stringify(request)}\n${off}\n${formatSave(rules)}`).toBe(
          "",
        );
        if (traced !== undefined && proved !== undefined) compared++;
      }
    }
    expect(compared).toBeGreaterThan((RULE_SETS * PACKETS) / 3);
  },
);

test("what is marked for one of many NodePorts is not asked for all the others", () => {
  const stepsFor = (count: number) => {
    const ports = Array.from({ length: count }, (_, index) => 30_000 + index);
    const rules = applyCommands(
      { family: 4, tables: [] },
      parseCommands(
        [
          "iptables -t nat -N NODEPORTS",
          "iptables -t nat -A PREROUTING -j NODEPORTS",
          ...ports.map((port) => `iptables -t nat -A NODEPORTS -p tcp --dport ${port} -j MARK --or-mark 1`),
          ...ports.map(
            (port) => `iptables -t nat -A NODEPORTS -p tcp --dport ${port} -j DNAT --to-destination 10.0.0.1`,
          ),
        ].join("\n"),
      ),
    );
    const [context] = proofContexts([{ rules, hostState: worldHostState(4) }]);
    if (context === undefined) throw new Error("no context");
    let steps = 0;
    const all = {
      ...{ destination: context.space.everything, sourcePort: ALL_PORTS, destinationPort: ALL_PORTS },
      ...{ protocol: ALL_PROTOCOLS, state: ALL_STATES, mark: ANY_MARK, source: unite(context.host.arriving.values()) },
    };
    walkHost({ ...context, count: () => steps++ }, enteringState(all, "network"));
    return steps;
  };
  expect(stepsFor(160) / stepsFor(40)).toBeLessThan(5);
});

function worldAddresses(family: Family) {
  const { from, services, odd } = WORLD[family];
  return [...Object.values(from).flat(), ...services, ...odd].flatMap((text) => parseIpAddress(text) ?? []);
}

function randomRequest(random: ReturnType<typeof randomSource>, family: Family, id: number): TraceRequest {
  const { packet } = randomPacket(random, family, id);
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  return {
    from: source,
    to: destination,
    protocol: protocol === "icmp" && family === 6 ? "ipv6-icmp" : protocol,
    ...(protocol === "icmp" ? {} : { port: destinationPort, sourcePort }),
    mark: random.pick([0, 0, 1, 0x4000, 0x100]),
    state: random.chance(0.7) ? "NEW" : random.pick(CONNECTION_STATES),
  };
}

function tryTrace(tracer: Tracer, request: TraceRequest): Trace | undefined {
  try {
    return tracer.trace(request);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
