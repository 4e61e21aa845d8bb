import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import type { Machine } from "../machine/machine.ts";
import { readTrackedConnections } from "./tracked-connections.ts";

const PLAN = planHost(
  parseTopology(
    new TextEncoder().encode(`
hosts: [{ name: one, address: 192.0.2.1 }]
services:
  - { name: web, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] }
  - { name: web, namespace: shop, clusterIP: 10.100.0.2, ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] }
`),
    { file: "web.yaml" },
  ).topology,
  { host: "one" },
);

const LINE =
  "tcp      6 431998 ESTABLISHED src=192.0.2.9 dst=10.100.0.1 sport=48544 dport=80 packets=3 bytes=166 src=10.5.75.2 dst=192.0.2.9 sport=3000 dport=48544 packets=2 bytes=112 [ASSURED] mark=0 delta-time=2 use=1";
const BARE =
  "tcp      6 117 SYN_SENT src=192.0.2.9 dst=10.100.0.1 sport=48545 dport=80 [UNREPLIED] src=10.100.0.1 dst=192.0.2.9 sport=80 dport=48545 mark=0 use=1";

/** Says for each listing what conntrack, cut off behind the first lines, says. */
function machineThat(says: (args: readonly string[]) => string, sysctl = "0") {
  const asked: string[] = [];
  const machine: Pick<Machine, "run" | "hasTool" | "readSysctl" | "readAddresses"> = {
    hasTool: () => true,
    readSysctl: async () => sysctl,
    readAddresses: () => ({ addresses: [] }),
    run: async (_tool, args) => {
      asked.push(args.slice(3).join(" "));
      const text = says(args);
      return text.startsWith("!")
        ? { exitCode: 0, stdout: "", stderr: `${text.slice(1)}\nexit code 1\n` }
        : { exitCode: 0, stdout: text, stderr: "" };
    },
  };
  return { machine, asked };
}

function read(machine: ReturnType<typeof machineThat>["machine"], service: string, limit = 10) {
  return readTrackedConnections(machine, {
    plan: PLAN,
    question: { service, limit },
    signal: AbortSignal.timeout(9_000),
  });
}

test("a connection has its client, VIP, endpoint, state, age and bytes", async () => {
  const { machine, asked } = machineThat(() => `${LINE}\n1\n`);
  expect(await read(machine, "default/web")).toEqual({
    connections: [
      {
        ...{ service: "default/web", portName: "", protocol: "tcp", client: "192.0.2.9:48544", vip: "10.100.0.1:80" },
        ...{
          endpoint: "10.5.75.2:3000",
          state: "established",
          ageSeconds: 2,
          bytesFromClient: 166,
          bytesToClient: 112,
        },
      },
    ],
    total: 1,
    unknown: [],
  });
  expect(asked).toEqual(["-L -f ipv4 -p tcp --orig-dst 10.100.0.1 --orig-port-dst 80"]);
});

test("one that nothing translated has no endpoint, and what is not noted is named with its setting", async () => {
  const { machine } = machineThat(() => `${BARE}\n1\n`);
  const { connections, unknown } = await read(machine, "default/web");
  expect(connections).toEqual([
    {
      ...{ service: "default/web", portName: "", protocol: "tcp", client: "192.0.2.9:48545", vip: "10.100.0.1:80" },
      state: "syn-sent",
    },
  ]);
  expect(unknown.map(({ fact, because }) => [fact, because])).toEqual([
    ["bytes", expect.stringContaining("sysctl -w net.netfilter.nf_conntrack_acct=1")],
    ["age", expect.stringContaining("sysctl -w net.netfilter.nf_conntrack_timestamp=1")],
  ]);
});

test("a bare name means the services of all namespaces; beyond the limit connections are counted alone", async () => {
  const { machine } = machineThat(() => `${LINE}\n7\n`);
  const found = await read(machine, "web", 1);
  expect([found.connections.length, found.total]).toEqual([1, 14]);
  const { machine: empty } = machineThat(() => "");
  expect(await read(empty, "web")).toEqual({ connections: [], total: 0, unknown: [] });
});

test("what conntrack cannot do is said", async () => {
  const { machine } = machineThat(() => "!conntrack v1.4.7: Operation failed: sorry, you must be root");
  await expect(read(machine, "web")).rejects.toMatchObject({ code: "NEEDS_ROOT" });
  const { machine: broken } = machineThat(() => "!conntrack v1.4.7: Operation failed: no buffer space");
  await expect(read(broken, "web")).rejects.toMatchObject({ code: "CONNTRACK_FAILED" });
});
