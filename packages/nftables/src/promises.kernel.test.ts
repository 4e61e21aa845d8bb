import { setTimeout as delay } from "node:timers/promises";
import type { Answer } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import {
  type HostPlan,
  type IpAddress,
  type Protocol,
  parseIpAddress,
  parseTopology,
  planHost,
} from "@svcproxy/topology";
import { describe, test } from "vitest";
import { parseCounters } from "./counters/service-counters.ts";
import { kernelMachine } from "./data-path/kernel-machine.ts";
import { NftablesDataPath } from "./data-path/nftables-data-path.ts";
import type { NftablesSession } from "./data-path/nftables-session.ts";
import { ASKING_PODS, CLIENTS, type Client, createServiceWorld, type ServiceWorld } from "./testing/service-world.ts";

const reason = whyNoKernelTests(["ip", "nft", "conntrack", "nsenter", "python3"]);
const { signal } = new AbortController();

/** Pods 0 to 7 run on host one, 8 to 15 on host two. */
const PODS = [0, 1].flatMap((host) =>
  Array.from({ length: 8 }, (_, place) => ({
    ipv4: `10.5.${host}.${place + 2}`,
    ipv6: host === 0 ? `fd05::${place + 2}` : `fd05:1::${place + 2}`,
  })),
);

interface PlanInput {
  readonly endpoints: readonly number[];
  /** More keys of the service, and of its first port. */
  readonly service?: object;
  readonly port?: object;
  readonly node?: object;
}

function planOf({ endpoints, service = {}, port = {}, node = {} }: PlanInput): HostPlan {
  const hosts = ["one", "two"].map((name, host) => ({
    ...{
      name,
      addresses: [`192.168.1.${6 + host}`, `fd01::${6 + host}`],
      podCIDRs: [`10.5.${host}.0/24`, `fd05:${host}::/64`],
    },
    pods: PODS.slice(host * 8, host * 8 + 8).map(({ ipv4, ipv6 }, place) => ({
      name: `p${host * 8 + place}`,
      addresses: [`${ipv4}:8080`, `[${ipv6}]:8080`],
    })),
  }));
  const web = {
    ...{ name: "web", clusterIPs: ["10.100.0.1", "fd10::1"], endpoints: endpoints.map((pod) => `p${pod}`) },
    ports: [{ port: 80, ...port }],
    ...service,
  };
  const text = JSON.stringify({ hosts, services: [web], node });
  return planHost(parseTopology(Buffer.from(text), { file: "plan" }).topology, { host: "one" });
}

const WEB = new Set(["default/web"]);

/** A world whose host keeps a plan. */
async function serve(plan: HostPlan, settings = {}): Promise<ServiceWorld & { readonly session: NftablesSession }> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await createServiceWorld());
  const session = stack.use(
    await new NftablesDataPath({ machine: kernelMachine(world.machine), settings }).open(signal),
  );
  await session.apply(plan);
  const owned = stack.move();
  return { ...world, session, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(text);
  return parsed;
}

const client = (name: string): Client => {
  const found = CLIENTS.find((each) => each.name === name);
  if (found === undefined) throw new TypeError(name);
  return found;
};

/** Sends an ICMP echo and waits for the answer. */
const PING = `
import socket, struct, sys
client = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
client.settimeout(2)
client.sendto(struct.pack("!BBHHH", 8, 0, 0xf7fe, 1, 0), (sys.argv[1], 0))
while client.recv(100)[20] != 0: pass
`;

interface Asked {
  readonly port?: number;
  readonly protocol?: Protocol;
  readonly seconds?: number;
}

/** The pod that answered by its number; else what the client met. */
async function ask(
  world: ServiceWorld,
  from: Client,
  to: string,
  { port = 80, protocol = "tcp", seconds = 5 }: Asked = {},
) {
  return podOf(await world.dial(from, address(to), { port, protocol, seconds }));
}

function podOf(answer: Answer): number | string {
  if (!("endpoint" in answer)) return Object.keys(answer)[0] ?? "";
  const [at] = answer.endpoint.split(" ");
  const pod = PODS.findIndex(({ ipv4, ipv6 }) => at === ipv4 || at === ipv6);
  return pod < 0 ? answer.endpoint : pod;
}

describe.skipIf(reason !== undefined)(
  `what the table promises beyond iptables${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    const VIPS = ["10.100.0.1", "fd10::1"];
    const UNASSIGNED = ["10.100.0.99", "fd10::99"];
    const EVERYBODY = ["pod", "host", "neighbour"].map(client);

    test("a ClusterIP's other ports are refused, and addresses of its range that no service has get no answer", async ({
      expect,
    }) => {
      const plan = planOf({ endpoints: [0], node: { serviceCIDRs: ["10.100.0.0/16", "fd10::/64"] } });
      await using world = await serve(plan);
      for (const protocol of ["tcp", "udp", "sctp"] as const) {
        const met = await Promise.all(
          VIPS.flatMap((vip) => EVERYBODY.map((from) => ask(world, from, vip, { port: 81, protocol }))),
        );
        expect([protocol, ...new Set(met)]).toEqual([protocol, "refused"]);
      }
      const silent = await Promise.all(
        UNASSIGNED.flatMap((vip) => EVERYBODY.map((from) => ask(world, from, vip, { seconds: 1 }))),
      );
      expect(new Set(silent)).toEqual(new Set(["silent"]));
      expect(await Promise.all(VIPS.map((vip) => ask(world, client("pod"), vip)))).toEqual([0, 0]);
    });

    test("another proxy's services in that range answer, whose table is asked after ours", async ({ expect }) => {
      const plan = planOf({ endpoints: [0], node: { serviceCIDRs: ["10.100.0.0/16", "fd10::/64"] } });
      await using world = await serve(plan);
      await world.host.run("nft", ["-f", "-"], {
        input: `
table inet theirs {
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 10.100.0.99 tcp dport 80 dnat ip to 10.5.0.3:8080
		ip6 daddr fd10::99 tcp dport 80 dnat ip6 to [fd05::3]:8080
		ip daddr 10.100.0.1 tcp dport 443 dnat ip to 10.5.0.3:8080
	}
	chain output {
		type nat hook output priority -100; policy accept;
		ip daddr 10.100.0.99 tcp dport 80 dnat ip to 10.5.0.3:8080
		ip6 daddr fd10::99 tcp dport 80 dnat ip6 to [fd05::3]:8080
	}
}`,
      });
      const met = await Promise.all(
        UNASSIGNED.flatMap((vip) => ["pod", "host"].map((from) => ask(world, client(from), vip))),
      );
      expect(met).toEqual([1, 1, 1, 1]);
      expect(await ask(world, client("pod"), "10.100.0.1", { port: 443 })).toBe(1);
      expect(await ask(world, client("pod"), "10.100.0.1", { port: 444 })).toBe("refused");
    });

    test("what the host owns is the host's: an external IP's other ports, and an address of the range", async ({
      expect,
    }) => {
      const plan = planOf({
        endpoints: [0],
        service: { externalIPs: ["203.0.113.1"] },
        node: { serviceCIDRs: ["10.100.0.0/16"] },
      });
      await using world = await serve(plan);
      await world.host.run("sh", ["-e"], {
        input: "ip address add 203.0.113.1/32 dev uplink\nip address add 10.100.0.77/32 dev uplink",
      });
      // Nobody listens there, which the host itself says.
      expect(await ask(world, client("neighbour"), "203.0.113.1", { port: 81 })).toBe("refused");
      expect(await ask(world, client("neighbour"), "10.100.0.77", { port: 81 })).toBe("refused");
      expect(await ask(world, client("neighbour"), "203.0.113.1")).toBe(0);
      await world.pod.run("python3", ["-c", PING, "10.100.0.77"]);
    });

    describe("clients that stay with their endpoint", () => {
      const sticky = (timeout = 600) => ({ sessionAffinity: "ClientIP", sessionAffinityTimeoutSeconds: timeout });
      const askAll = (world: ServiceWorld, to: string, asked: Asked = {}) =>
        Promise.all(ASKING_PODS.map((from) => ask(world, from, to, asked)));

      test.for(["10.100.0.1", "fd10::1"])(
        "are moved where it goes, and nobody else is (%s)",
        async (vip, { expect }) => {
          const plan = (endpoints: readonly number[]) =>
            planOf({ endpoints, service: { ...sticky(), externalIPs: ["203.0.113.1", "fd20::1"] } });
          await using world = await serve(plan([0, 8, 9]));
          const first = await askAll(world, vip);
          expect(new Set(first)).toEqual(new Set([0, 8, 9]));
          expect(await askAll(world, vip)).toEqual(first);
          expect(await askAll(world, vip.includes(":") ? "fd20::1" : "203.0.113.1")).toEqual(first);
          await world.session.apply(plan([0, 8, 9, 10]), { changed: WEB });
          expect(await askAll(world, vip)).toEqual(first);
          await world.session.apply(plan([0, 9, 10]), { changed: WEB });
          const second = await askAll(world, vip);
          expect(second).not.toContain(8);
          expect(second.filter((_, index) => first[index] !== 8)).toEqual(first.filter((pod) => pod !== 8));
          await world.session.apply(plan([0, 11, 10]), { changed: WEB });
          const third = await askAll(world, vip);
          expect(third).not.toContain(9);
          expect(third.filter((_, index) => second[index] !== 9)).toEqual(second.filter((pod) => pod !== 9));
        },
      );

      test("are forgotten after the timeout, and not before the last connection", async ({ expect }) => {
        const plan = planOf({ endpoints: [0, 1, 2, 8, 9, 10], service: sticky(9) });
        await using world = await serve(plan);
        const first = await askAll(world, "10.100.0.1");
        // Longer than the timeout in all, and each pause so much shorter that a busy machine has time to ask.
        for (let round = 0; round < 2; round++) {
          await delay(5_000);
          expect(await askAll(world, "10.100.0.1")).toEqual(first);
        }
        await delay(10_000);
        expect(await askAll(world, "10.100.0.1")).not.toEqual(first);
      });

      test("stay together when they open many connections at once", async ({ expect }) => {
        await using world = await serve(planOf({ endpoints: [0, 1, 2, 8, 9, 10], service: sticky() }));
        for (const from of ASKING_PODS.slice(0, 10)) {
          const met = await Promise.all(Array.from({ length: 12 }, () => ask(world, from, "10.100.0.1")));
          expect(new Set(met).size).toBe(1);
        }
      });

      test("are balanced unremembered where the map is full, which is counted and told", async ({ expect }) => {
        const plan = planOf({ endpoints: [0, 8, 9], service: sticky(), node: { affinityTableSize: 5 } });
        await using world = await serve(plan);
        const first = await askAll(world, "10.100.0.1");
        for (const pod of first) expect([0, 8, 9]).toContain(pod);
        const { stdout } = await world.host.run("nft", ["list", "table", "ip", "svcproxy"]);
        expect(parseCounters(stdout, 4).unremembered).toBe(ASKING_PODS.length - 5);
        const { problems } = await world.session.apply(plan);
        expect(problems.map(({ code, subject }) => [code, subject])).toEqual([
          ["AFFINITY_TABLE_FULL", "table ip svcproxy"],
        ]);
        expect(problems[0]?.text).toContain(` ${ASKING_PODS.length - 5} new connections`);
      });
    });

    test("counts new connections by address and endpoint, and packets and bytes both ways where it is asked for", async ({
      expect,
    }) => {
      const plan = planOf({ endpoints: [0, 8], port: { nodePort: 30080 } });
      await using world = await serve(plan, { countsTraffic: true });
      for (let round = 0; round < 6; round++) await ask(world, client("pod"), "10.100.0.1");
      for (let round = 0; round < 4; round++) await ask(world, client("neighbour"), "192.168.1.6", { port: 30080 });
      await ask(world, client("host"), "10.100.0.1");
      const { stdout } = await world.host.run("nft", ["list", "table", "ip", "svcproxy"]);
      const [web] = parseCounters(stdout, 4).ports;
      const [vip, nodePort] = web?.frontends ?? [];
      expect([vip?.connections, nodePort?.connections]).toEqual([7, 4]);
      expect(web?.endpoints.reduce((sum, { connections }) => sum + connections, 0)).toBe(11);
      // A connection that carries a line has some ten packets: a handshake, a line, and the end of both sides.
      for (const { connections, fromClients, toClients } of [vip, nodePort].filter((each) => each !== undefined)) {
        for (const counter of [fromClients, toClients]) {
          expect(counter?.packets).toBeGreaterThanOrEqual(3 * connections);
          expect(counter?.packets).toBeLessThanOrEqual(8 * connections);
          expect(counter?.bytes).toBeGreaterThanOrEqual(52 * (counter?.packets ?? 0));
        }
      }
    });

    test("leaves nothing of its own in packets", async ({ expect }) => {
      await using world = await serve(
        planOf({ endpoints: [0, 8], service: { externalIPs: ["203.0.113.1", "fd20::1"] } }),
      );
      // The kernel gives its own multicast reports (IGMP, MLD) a priority.
      await world.host.run("nft", ["-f", "-"], {
        input: `
table inet look {
	counter seen { }
	chain postrouting {
		type filter hook postrouting priority 300; policy accept;
		meta l4proto tcp meta priority != 0 counter name seen
		meta l4proto tcp meta mark != 0 counter name seen
	}
}`,
      });
      const froms = ["pod", "host", "neighbour", "serving pod"].map(client);
      for (const vip of [...VIPS, "203.0.113.1", "fd20::1"])
        await Promise.all(froms.map((from) => ask(world, from, vip)));
      expect((await world.host.run("nft", ["list", "counter", "inet", "look", "seen"])).stdout).toContain(
        "packets 0 bytes 0",
      );
    });
  },
);
