import { spawnSync } from "node:child_process";
import { addingCommands } from "@svcproxy/rules";
import { parseTopology, planHost, type Topology } from "@svcproxy/topology";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileScript } from "./compile-rules.ts";
import type { Dialect } from "./dialect.ts";
import { formatRestoreScript, formatShellScript } from "./script/format-script.ts";
import type { Script } from "./script/script.ts";

/** Names as a spiteful or careless user writes them. */
const HOSTILE = [
  "$(touch /tmp/owned)",
  "`id`",
  "a;reboot",
  "a' -j ACCEPT '",
  'a" -j ACCEPT "',
  "a\nCOMMIT\n*filter\n-A INPUT -j ACCEPT",
  "\u0000\r\u2028\u202E#",
  "-j ACCEPT",
  "! -s 0.0.0.0/0",
  "größe→★",
  "x".repeat(300),
  "\\",
  "%s%n*?[a-z]~",
  "\uD800",
];
const name = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({ minLength: 1, maxLength: 40, unit: "binary" }),
  fc.string({ minLength: 1, maxLength: 300 }),
);

const topologies = fc
  .record({
    pods: fc.uniqueArray(name, { minLength: 2, maxLength: 5 }),
    services: fc.uniqueArray(name, { minLength: 1, maxLength: 4 }),
    namespace: name,
    ports: fc.uniqueArray(name, { minLength: 2, maxLength: 2 }),
    id: name,
  })
  .map(({ pods, services, namespace, ports, id }): Topology => {
    const template = parseTopology(Buffer.from(TEMPLATE), { file: "template" }).topology;
    const [host] = template.hosts;
    const [service] = template.services;
    if (host === undefined || service === undefined) throw new TypeError("an empty template");
    // Past the parser, which refuses some of them: the compiler must not rely on that.
    return {
      ...template,
      hosts: [{ ...host, name: "host" }],
      services: services.map((own, index) => ({
        ...service,
        namespace,
        name: own,
        ...(index === 0 && { id }),
        clusterIPs: service.clusterIPs,
        ports: service.ports.map((port, place) => ({
          ...port,
          name: ports[place] ?? "",
          endpoints: port.endpoints.map((endpoint, each) => ({ ...endpoint, pod: pods[each % pods.length] ?? "" })),
        })),
      })),
    };
  });

const TEMPLATE = `
hosts:
  - { name: host, address: 192.0.2.1, podCIDR: 10.1.0.0/16, pods: [
      { name: a, address: "10.1.0.2:80" }, { name: b, address: "10.1.0.3:80" }] }
services:
  - name: service
    clusterIP: 10.96.0.1
    sessionAffinity: ClientIP
    ports: [{ name: a, port: 80, nodePort: 30080 }, { name: b, port: 81, targetPort: 8081 }]
    endpoints: [a, b]
`;

function scriptOf(topology: Topology, dialect: Dialect): Script {
  return compileScript(planHost(topology, { host: "host" }), { dialect, family: 4 });
}

/** What a real shell hands to iptables, command by command. */
function shellCalls(text: string): string[][] {
  const prelude = `iptables() { printf '%s\\036' "$@"; printf '\\035'; }\n`;
  const { stdout, stderr, status } = spawnSync("/bin/sh", ["-e"], {
    input: prelude + text,
    encoding: "utf8",
    env: { PATH: "/nonexistent" },
  });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout
    .split("\x1d")
    .slice(0, -1)
    .map((call) => call.split("\x1e").slice(0, -1));
}

const OPTION = { newChain: "-N", append: "-A", insert: "-I" } as const;

test.for(["document", "kubernetes"] as const)("no name changes what a shell runs (%s dialect)", (dialect) => {
  fc.assert(
    fc.property(topologies, (topology) => {
      const script = scriptOf(topology, dialect);
      const commands = script.sections.flatMap((section) => [...addingCommands(section)]);
      const calls = shellCalls([...formatShellScript(script)].join(""));
      expect(calls.map((call) => call.slice(0, 4))).toEqual(
        commands.map(({ kind, table, chain }) => ["-t", table, OPTION[kind], chain]),
      );
      for (const [index, command] of commands.entries()) {
        const call = calls[index] ?? [];
        const jumps = call.filter((word, place) => word === "-j" && call[place - 1] !== "--comment").length;
        const isJump = command.kind !== "newChain" && command.rule.target.kind !== "none";
        expect(jumps).toBe(isJump ? 1 : 0);
      }
    }),
    { numRuns: 40 },
  );
});

test.for(["document", "kubernetes"] as const)("nor the lines of a restore text (%s dialect)", (dialect) => {
  fc.assert(
    fc.property(topologies, (topology) => {
      const script = scriptOf(topology, dialect);
      const commands = script.sections.flatMap((section) => [...addingCommands(section)]);
      const lines = [...formatRestoreScript(script)].join("").trimEnd().split("\n");
      const tables = new Set(commands.map(({ table }) => table));
      expect(lines).toHaveLength(commands.length + 2 * tables.size);
      for (const line of lines)
        expect(line).toMatch(/^(\*\w+|COMMIT|:KUBE-[\w.-]{1,23} - \[0:0\]|-[AI] [A-Z]\S* [^\n]*)$/);
    }),
    { numRuns: 100 },
  );
});

test.for(["document", "kubernetes"] as const)("every chain is distinct and fits (%s dialect)", (dialect) => {
  fc.assert(
    fc.property(topologies, (topology) => {
      const chains = scriptOf(topology, dialect)
        .sections.flatMap((section) => [...addingCommands(section)])
        .filter(({ kind }) => kind === "newChain")
        .map(({ table, chain }) => `${table} ${chain}`);
      expect(new Set(chains).size).toBe(chains.length);
      for (const chain of chains) expect(chain).toMatch(/^\w+ KUBE-[\w.-]{1,23}$/);
    }),
  );
});
