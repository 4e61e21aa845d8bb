import type { ConntrackEntry } from "@svcproxy/host";
import { parseCommands } from "@svcproxy/rules";
import { parseIpAddress, parsePort, parseSocketAddress } from "@svcproxy/topology";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { DesiredRules } from "../desired-rules.ts";
import { MemoryBackend, MemoryTables } from "./memory-tables.ts";
import { GONE_UDP } from "./own-chains.ts";
import type { ApplyRunOptions } from "./rule-backend.ts";
import { planOf, rulesOf } from "./testing/backend-contract.ts";
import { frontendsOf, isStale } from "./udp-flows.ts";

const { signal } = new AbortController();
const dual = (...endpoints: string[]) => rulesOf(planOf({ endpoints, v6: true }));
const killed = () => Promise.reject(new Error("killed"));

/** Remembers which UDP frontends a run was told of, with their endpoints. */
function recordGone(told: Map<string, readonly string[]>): NonNullable<ApplyRunOptions["settle"]> {
  return async (before) => {
    for (const rules of before) {
      for (const [frontend, endpoints] of frontendsOf(rules).endpoints) told.set(frontend, [...endpoints].sort());
    }
  };
}

test("a run that ends well leaves no note behind", async () => {
  const backend = new MemoryBackend();
  await backend.apply(dual("a", "b"), { signal, settle: async () => {} });
  const told = new Map();
  await backend.apply(dual(), { signal, settle: recordGone(told) });
  expect(told).toEqual(
    new Map([
      ["10.100.0.2:53", ["10.5.75.2:3000", "10.5.75.3:3000"]],
      ["fd00:9::2:53", ["[fd00:5::2]:3000", "[fd00:5::3]:3000"]],
    ]),
  );
  expect(backend.dump()).not.toContain(GONE_UDP);
  await backend.apply([], { signal, settle: async () => {} });
  expect(backend.dump()).not.toMatch(/KUBE|SVCPROXY/);
});

test("the note goes in with the change itself, so that whoever looks sees both or neither", async () => {
  const backend = new MemoryBackend();
  await backend.apply(dual("a"), { signal });
  let during = "";
  await backend.apply(dual(), {
    signal,
    settle: async () => {
      during = backend.dump();
    },
  });
  expect(during).toContain(
    `-A ${GONE_UDP} -d 10.100.0.2/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.5.75.2:3000`,
  );
  expect(during).not.toMatch(/KUBE-SVC-dns/);
});

test.for([
  { name: "apply", last: dual() },
  { name: "cleanup", last: [] },
])("what a killed run took away, the next $name is told of; so it is after several", async ({ last }) => {
  const backend = new MemoryBackend();
  await backend.apply(dual("a", "b"), { signal });
  await expect(backend.apply(dual(), { signal, settle: killed })).rejects.toThrow("killed");
  await expect(backend.apply([], { signal, settle: killed })).rejects.toThrow("killed");
  await expect(backend.apply(last, { signal, settle: killed })).rejects.toThrow("killed");
  const told = new Map();
  await backend.apply(last, { signal, settle: recordGone(told) });
  expect([...told.keys()].sort()).toEqual(["10.100.0.2:53", "fd00:9::2:53"]);
  const again = new Map();
  const { changes } = await backend.apply(last, { signal, settle: recordGone(again) });
  expect({ changes, again }).toEqual({ changes: [], again: new Map() });
});

test("chains that somebody else made are not frontends of ours, unless they are adopted", async () => {
  const theirs = parseCommands(
    `ip6tables -t nat -N KUBE-SERVICES
ip6tables -t nat -N KUBE-SVC-DNS
ip6tables -t nat -A KUBE-SERVICES -d fd00:9::9/128 -p udp -m udp --dport 53 -j KUBE-SVC-DNS
ip6tables -t nat -A KUBE-SVC-DNS -p udp -m udp -j DNAT --to-destination [fd00:5::2]:53
ip6tables -t nat -N FOREIGN
ip6tables -t nat -A FOREIGN -p udp -m udp --dport 5353 -j DNAT --to-destination [fd00:5::2]:53
`,
    { family: 6 },
  );
  const run = async (adopt: boolean) => {
    const tables = new MemoryTables();
    await tables.restore({ family: 6, table: "nat", commands: theirs });
    const told = new Map();
    const settle = recordGone(told);
    await new MemoryBackend(tables).apply(rulesOf(planOf({ v6: adopt })), { signal, adopt, settle });
    return [...told.keys()];
  };
  await expect(run(true)).resolves.toEqual(["fd00:9::9:53"]);
  await expect(run(false)).resolves.toEqual([]);
});

/** Every flow that clients of these rules could have. */
function flowsOf(desired: readonly DesiredRules[]): readonly ConntrackEntry[] {
  return desired.flatMap((rules) =>
    [...frontendsOf(rules).endpoints].flatMap(([frontend, endpoints]) =>
      [...endpoints].flatMap((endpoint) => {
        const colon = frontend.lastIndexOf(":");
        const destination = parseIpAddress(frontend.slice(0, colon));
        const port = parsePort(Number(frontend.slice(colon + 1)));
        const server = parseSocketAddress(endpoint);
        if (destination === undefined || port === undefined || server === undefined) return [];
        const ends = { destination, destinationPort: port, server: server.address, serverPort: server.port };
        return [{ protocol: "udp", client: destination, clientPort: port, ...ends }];
      }),
    ),
  );
}

test("however many runs are killed, no flow outlives its frontend or endpoint once one run ends well", async () => {
  const step = fc.record({ plan: fc.subarray(["a", "b"]), isKilled: fc.boolean(), isCleanup: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 6 }), fc.subarray(["a", "b"]), async (walk, last) => {
      const backend = new MemoryBackend();
      let flows: readonly ConntrackEntry[] = [];
      const run = async (desired: readonly DesiredRules[], isKilled: boolean) => {
        const settle: ApplyRunOptions["settle"] = async (before) => {
          if (isKilled) return killed();
          flows = flows.filter((flow) =>
            ([4, 6] as const).every((family) => {
              const of = (rules: readonly { family: number }[]) => rules.findIndex((item) => item.family === family);
              return !isStale(flow, {
                before: frontendsOf(before[of(before)]),
                after: frontendsOf(desired[of(desired)]),
                isHostAddress: () => false,
              });
            }),
          );
        };
        await backend.apply(desired, { signal, settle }).catch((error: unknown) => {
          if (!isKilled) throw error;
        });
        flows = [...flows, ...flowsOf(desired)];
      };
      for (const { plan, isKilled, isCleanup } of walk) await run(isCleanup ? [] : dual(...plan), isKilled);
      await run(dual(...last), false);
      const wanted = flowsOf(dual(...last)).map((flow) => JSON.stringify(flow));
      expect(flows.filter((flow) => !wanted.includes(JSON.stringify(flow)))).toEqual([]);
      await run([], false);
      expect(backend.dump()).not.toMatch(/KUBE|SVCPROXY/);
    }),
    { numRuns: 40 },
  );
});
