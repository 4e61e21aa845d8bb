import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { HostState } from "../../host/host-state.ts";
import { readHostState } from "../../host/read-host-state.ts";
import { buildPacket, type ProbePacket } from "./build-packet.ts";
import type { Observation } from "./read-observation.ts";
import { address, SIDES, type Side, type WorldSettings } from "./world-plan.ts";
import { type Sender, startSender, startShell, watch } from "./world-processes.ts";
import { HOST_EYES, OTHER_EYES, SENTINEL_PORT, wire } from "./world-wiring.ts";

/** A packet with the side that sends it. */
export interface SentPacket {
  readonly side: Side;
  readonly packet: ProbePacket;
  /** SO_MARK; only the host's own packets can have one. */
  readonly mark: number;
}

/** What one sent packet was seen as: at the host's last hooks, and where it arrived. */
export interface Seen {
  readonly id: number;
  readonly where: "input" | "postrouting" | "error" | Exclude<Side, "host">;
  readonly observation: Observation;
}

/** A host in the kernel with two pods on a bridge, a network outside, an overlay, and eyes at its last hooks. */
export interface KernelWorld extends AsyncDisposable {
  readonly hostState: HostState;
  interfaceName(index: number): string;
  /** Runs a command in the host's namespace. */
  run(command: string, args: readonly string[], input?: string): Promise<string>;
  /** Applies settings, then loads rules; the reason where the kernel refuses them. */
  load(input: { tool: string; rules: string; settings: WorldSettings }): Promise<string | undefined>;
  /** Sends packets in order and returns what was seen of them once all have come to their end. */
  send(packets: readonly SentPacket[]): Promise<readonly Seen[]>;
}

/** @param change a shell script that changes the host's addresses and routes before its state is read */
export async function createKernelWorld({ change }: { readonly change?: string } = {}): Promise<KernelWorld> {
  const stack = new AsyncDisposableStack();
  const namespaces = new Map<Side, NetworkNamespace>();
  for (const side of SIDES) namespaces.set(side, stack.use(await createNetworkNamespace()));
  const namespaceOf = (side: Side): NetworkNamespace => {
    const found = namespaces.get(side);
    if (found === undefined) throw new TypeError(`no namespace for ${side}`);
    return found;
  };
  const host = namespaceOf("host");
  await wire(namespaceOf);
  if (change !== undefined) await host.run("sh", ["-e"], { input: change });
  const seen: Seen[] = [];
  const waiting = new Set<() => void>();
  for (const side of SIDES) {
    await namespaceOf(side).run("nft", ["-f", "-"], { input: side === "host" ? HOST_EYES : OTHER_EYES });
    stack.use(
      await watch(namespaceOf(side), (observation) => {
        seen.push({ id: observation.packet.id, where: whereOf(side, observation), observation });
        for (const wake of waiting) wake();
      }),
    );
  }
  const senders = new Map<Side, Sender>();
  for (const side of SIDES) senders.set(side, stack.use(startSender(namespaceOf(side))));
  const links: unknown = JSON.parse((await host.run("ip", ["-j", "link"])).stdout);
  const names = namesByIndex(links);
  const hostState = await readState(host);
  const shell = stack.use(startShell(host));
  let nextSentinel = FIRST_SENTINEL;

  /** @returns whether all came through: where the log's socket was overrun, they may be lost like any other */
  async function sentinels(): Promise<boolean> {
    const ids = new Set<number>();
    for (const { side, source, destination } of SENTINELS) {
      const id = nextSentinel++;
      ids.add(id);
      senders.get(side)?.send(buildPacket(sentinel({ source, destination, id })), 0);
    }
    const deadline = Date.now() + SENTINEL_WAIT_MS;
    while (ids.size > 0 && Date.now() < deadline) {
      for (const { id } of seen) ids.delete(id);
      if (ids.size > 0) await nextSight(deadline - Date.now());
    }
    return ids.size === 0;
  }

  function nextSight(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        waiting.delete(wake);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(wake, Math.max(1, atMostMs));
      waiting.add(wake);
    });
  }

  async function sendWindow(window: readonly SentPacket[]): Promise<readonly Seen[]> {
    for (let attempt = 0; attempt < SEND_ATTEMPTS; attempt++) {
      seen.length = 0;
      for (const { side, packet, mark } of window) senders.get(side)?.send(buildPacket(packet), mark);
      // The second round comes after whatever the first one's neighbours had still to go through.
      if ((await sentinels()) && (await sentinels())) return seen.filter(({ id }) => id < FIRST_SENTINEL);
    }
    throw new Error("the packets of the test itself do not come through");
  }

  return {
    hostState,
    interfaceName: (index) => names.get(index) ?? "",
    run: async (command, args, input) => (await host.run(command, args, input === undefined ? {} : { input })).stdout,
    load: ({ tool, rules, settings }) => shell.run(loadScript({ tool, rules, settings })),
    async send(packets) {
      const found: Seen[] = [];
      for (let at = 0; at < packets.length; at += WINDOW)
        found.push(...(await sendWindow(packets.slice(at, at + WINDOW))));
      return found;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Packets on their way at once: more would overrun the log's socket. */
const WINDOW = 48;

/** How long a packet may be on its way on a busy machine before it counts as lost, and how often it is sent then. */
const SENTINEL_WAIT_MS = 15_000;
const SEND_ATTEMPTS = 5;

/** Numbers from here on are the test's own. */
const FIRST_SENTINEL = 0xf0000000;

/** To the host from every side, and from each side to itself: each log has a reader of its own, and all must have caught up. */
const SENTINELS: readonly { readonly side: Side; readonly source: string; readonly destination: string }[] = [
  { side: "host", source: "127.0.0.1", destination: "127.0.0.1" },
  ...(
    [
      ["pod1", "10.1.0.2"],
      ["pod2", "10.1.0.3"],
      ["outside", "192.168.7.7"],
      ["remote", "10.2.0.2"],
    ] as const
  ).flatMap(([side, source]) => [
    { side, source, destination: "10.1.0.1" },
    { side, source, destination: source },
  ]),
];

function sentinel({ source, destination, id }: { source: string; destination: string; id: number }): ProbePacket {
  return {
    source: address(source),
    destination: address(destination),
    protocol: "udp",
    sourcePort: SENTINEL_PORT,
    destinationPort: SENTINEL_PORT,
    id,
  };
}

function whereOf(side: Side, { prefix }: Observation): Seen["where"] {
  if (side !== "host") return side;
  return prefix === "input" ? "input" : prefix === "error" ? "error" : "postrouting";
}

function namesByIndex(links: unknown): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const link of Array.isArray(links) ? links : []) {
    const { ifindex, ifname }: { ifindex?: unknown; ifname?: unknown } = Object(link);
    if (typeof ifindex === "number" && typeof ifname === "string") names.set(ifindex, ifname);
  }
  return names;
}

async function readState(host: NetworkNamespace): Promise<HostState> {
  const read = async (...args: string[]): Promise<unknown> =>
    JSON.parse((await host.run("ip", ["-j", ...args])).stdout || "[]");
  const state = {
    addr: await read("-d", "addr"),
    route: {
      4: await read("-4", "route", "show", "table", "all"),
      6: await read("-6", "route", "show", "table", "all"),
    },
    rule: { 4: await read("-4", "rule"), 6: await read("-6", "rule") },
    sysctls: {},
    ipset: (await host.run("ipset", ["save"])).stdout,
  };
  // Nobody sets IPsec up here.
  return { ...readHostState(JSON.stringify(state), { file: "the test's host" }), usesIpsec: false };
}

/** The sysctls that settings mean, by name. */
export function sysctlsOf({
  rpFilter,
  bridgeNf,
  routeLocalnet,
  forwarding,
}: WorldSettings): Readonly<Record<string, string>> {
  const flag = (on: boolean) => (on ? "1" : "0");
  return {
    "net.ipv4.ip_forward": flag(forwarding),
    "net.ipv6.conf.all.forwarding": flag(forwarding),
    "net.ipv4.conf.all.rp_filter": String(rpFilter),
    "net.ipv4.conf.all.route_localnet": flag(routeLocalnet),
    "net.bridge.bridge-nf-call-iptables": flag(bridgeNf),
    "net.bridge.bridge-nf-call-ip6tables": flag(bridgeNf),
  };
}

function loadScript({ tool, rules, settings }: { tool: string; rules: string; settings: WorldSettings }): string {
  const sysctls = Object.entries(sysctlsOf(settings)).map(
    ([name, value]) => `echo ${value} > /proc/sys/${name.replaceAll(".", "/")}`,
  );
  // A connection that is remembered lends its source mapping to new ones from the same port.
  return `${sysctls.join("; ")}\nconntrack -F >/dev/null 2>&1\n${tool} <<'END_OF_RULES'\n${rules}\nEND_OF_RULES\n`;
}
