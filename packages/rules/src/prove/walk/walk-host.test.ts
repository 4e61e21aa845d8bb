import { expect, test } from "vitest";
import { applyCommands } from "../../rule-sets/apply-commands.ts";
import { formatSave } from "../../rule-sets/format-restore.ts";
import { parseCommands } from "../../rule-sets/parse-commands.ts";
import { compareEngines } from "../../testing/compare-engines.ts";
import { randomRuleSet } from "../../testing/differential/random-rules.ts";
import { randomSource } from "../../testing/differential/random-source.ts";
import { worldHostState } from "../../testing/prover-agrees.ts";
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
  { timeout: 300_000 },
  (family) => {
    const hostState = worldHostState(family);
    let compared = 0;
    for (let seed = 1; seed <= RULE_SETS; seed++) {
      const random = randomSource(seed * 7919 + family);
      const rules = randomRuleSet(random, family);
      const found = compareEngines({ rules, hostState }, { random, packets: PACKETS });
      const told = found.difference === undefined ? "" : `seed ${seed}\n${found.difference}\n${formatSave(rules)}`;
      expect(told).toBe("");
      compared += found.compared;
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
