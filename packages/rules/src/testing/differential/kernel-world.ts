import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import process from "node:process";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { HostState } from "../../host-state.ts";
import { readHostState } from "../../read-host-state.ts";
import { buildPacket, type ProbePacket } from "./build-packet.ts";
import { type Observation, readObservation } from "./read-observation.ts";
import { address, SIDES, type Side, type WorldSettings } from "./world-plan.ts";

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

const LOG_GROUP = 7;

/** Sentinels end at the first hook that they come to, whatever the rules. */
const SENTINEL_PORT = 61999;

export async function createKernelWorld(): Promise<KernelWorld> {
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
const SENTINEL_WAIT_MS = 3000;
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

const SENTINEL_RULE = `udp dport ${SENTINEL_PORT} log group ${LOG_GROUP} queue-threshold 1 prefix "sentinel" drop;`;

/** Answers are of no interest behind the rules. */
const PROBES_ONLY =
  "tcp flags & (rst | ack) != 0 return; icmp type != echo-request return; icmpv6 type != echo-request return;";

/** The eyes of the host: before every rule for sentinels and what it answers, behind every rule for what came through. */
const HOST_EYES = `table inet eyes {
  chain first { type filter hook prerouting priority -500; ${SENTINEL_RULE} }
  chain own {
    type filter hook output priority -500;
    ${SENTINEL_RULE}
    icmp type destination-unreachable log group ${LOG_GROUP} queue-threshold 1 prefix "error";
    icmpv6 type destination-unreachable log group ${LOG_GROUP} queue-threshold 1 prefix "error";
    tcp flags & rst == rst log group ${LOG_GROUP} queue-threshold 1 prefix "error";
  }
  chain in { type filter hook input priority 500; ${PROBES_ONLY} log group ${LOG_GROUP} queue-threshold 1 prefix "input"; }
  chain out { type filter hook postrouting priority 500; oifname "lo" return; ${PROBES_ONLY} log group ${LOG_GROUP} queue-threshold 1 prefix "postrouting"; }
}
`;

/** Everybody else sees what arrives, and answers nothing. */
const OTHER_EYES = `table inet eyes {
  chain first {
    type filter hook prerouting priority -500;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;
    log group ${LOG_GROUP} queue-threshold 1 prefix "arrived" drop;
  }
}
`;

async function wire(namespaceOf: (side: Side) => NetworkNamespace): Promise<void> {
  const host = namespaceOf("host");
  const run = (side: Side, script: string) => namespaceOf(side).run("sh", ["-e"], { input: script });
  await run(
    "host",
    "modprobe br_netfilter 2>/dev/null || true; ip link add cni0 type bridge; ip link set cni0 address 02:00:00:00:00:01 up",
  );
  for (const [side, device, mac, hostMac] of LINKS) {
    await host.run("ip", [
      "link",
      "add",
      device,
      "address",
      hostMac,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "address",
      mac,
      "netns",
      String(namespaceOf(side).pid),
    ]);
  }
  await run("host", HOST_SETUP);
  await host.run("ipset", ["restore"], { input: SETS });
  await run("pod1", podSetup({ own: 2, other: 3, mac: "02:00:00:00:01:03" }));
  await run("pod2", podSetup({ own: 3, other: 2, mac: "02:00:00:00:01:02" }));
  await run("outside", OUTSIDE_SETUP);
  await run("remote", REMOTE_SETUP);
}

/** Side, its device on the host, its own MAC and the host's. */
const LINKS = [
  ["pod1", "vpod1", "02:00:00:00:01:02", "02:00:00:00:02:02"],
  ["pod2", "vpod2", "02:00:00:00:01:03", "02:00:00:00:02:03"],
  ["outside", "eth0", "02:00:00:00:01:07", "02:00:00:00:02:07"],
  ["remote", "flannel.1", "02:00:00:00:01:08", "02:00:00:00:02:08"],
] as const;

const HOST_SETUP = `
for s in net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1 \\
  net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=100000 net.ipv6.icmp.ratelimit=0 \\
  net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.netfilter.nf_conntrack_udp_timeout=0 \\
  net.netfilter.nf_conntrack_udp_timeout_stream=0 net.netfilter.nf_conntrack_tcp_timeout_syn_sent=0 \\
  net.netfilter.nf_conntrack_icmp_timeout=0 net.netfilter.nf_conntrack_icmpv6_timeout=0 net.netfilter.nf_conntrack_generic_timeout=0 \\
  net.netfilter.nf_conntrack_sctp_timeout_cookie_wait=0 net.netfilter.nf_conntrack_sctp_timeout_closed=0; do
  sysctl -qw $s 2>/dev/null || true
done
ip link set vpod1 master cni0 up; ip link set vpod2 master cni0 up
ip link set vpod1 type bridge_slave hairpin on
for p in "vpod1 02" "vpod2 03"; do
  set -- $p; ip link set $1 type bridge_slave learning off; bridge fdb replace 02:00:00:00:01:$2 dev $1 master static
done
ip addr add 10.1.0.1/24 dev cni0; ip addr add fd01::1/64 dev cni0 nodad
ip link set eth0 up; ip addr add 192.168.7.6/24 dev eth0; ip addr add 192.168.7.60/24 dev eth0; ip addr add fd07::6/64 dev eth0 nodad
ip link set flannel.1 up; ip addr add 10.1.0.0/32 dev flannel.1; ip addr add fd01::aa/128 dev flannel.1 nodad
ip route add default via 192.168.7.1; ip -6 route add default via fd07::1 dev eth0
ip route add 10.2.0.0/24 via 10.2.0.0 dev flannel.1 onlink; ip -6 route add fd02::/64 via fd02::aa dev flannel.1 onlink
for n in "4 10.66.0.0/24 10.67.0.0/24 10.68.0.0/24 10.9.0.0/24 10.2.0.0" "6 fd66::/64 fd67::/64 fd68::/64 fd09::/64 fd02::aa"; do
  set -- $n
  ip -$1 route add blackhole $2; ip -$1 route add unreachable $3; ip -$1 route add prohibit $4
  ip -$1 rule add fwmark 0x100/0x100 table 100; ip -$1 route add $5 via $6 dev flannel.1 onlink table 100
done
neigh() { ip neigh replace $1 lladdr $2 dev $3 nud permanent; }
neigh 10.1.0.2 02:00:00:00:01:02 cni0; neigh fd01::2 02:00:00:00:01:02 cni0; neigh 10.1.0.9 02:00:00:00:01:02 cni0; neigh fd01::9 02:00:00:00:01:02 cni0
neigh 10.1.0.3 02:00:00:00:01:03 cni0; neigh fd01::3 02:00:00:00:01:03 cni0
neigh 192.168.7.7 02:00:00:00:01:07 eth0; neigh 192.168.7.1 02:00:00:00:01:07 eth0; neigh fd07::7 02:00:00:00:01:07 eth0; neigh fd07::1 02:00:00:00:01:07 eth0
neigh 10.2.0.0 02:00:00:00:01:08 flannel.1; neigh fd02::aa 02:00:00:00:01:08 flannel.1
`;

/** Sets for the `set` match; the engine is told their members as \`ipset save\` prints them. */
const SETS = `
create ips-4 hash:ip family inet
add ips-4 10.1.0.2
add ips-4 10.100.100.1
create nets-4 hash:net family inet
add nets-4 10.0.0.0/8
add nets-4 10.1.0.0/24 nomatch
create ip-ports-4 hash:ip,port family inet
add ip-ports-4 10.100.100.2,tcp:80
add ip-ports-4 10.100.100.2,udp:53
add ip-ports-4 192.168.7.6,tcp:34211
create ips-6 hash:ip family inet6
add ips-6 fd01::2
add ips-6 fd64::1
create nets-6 hash:net family inet6
add nets-6 fd00::/8
add nets-6 fd01::/64 nomatch
create ip-ports-6 hash:ip,port family inet6
add ip-ports-6 fd64::2,tcp:80
add ip-ports-6 fd07::6,tcp:34211
`;

function podSetup({ own, other, mac }: { own: number; other: number; mac: string }): string {
  return `
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
ip link set eth0 up; ip addr add 10.1.0.${own}/24 dev eth0; ip addr add fd01::${own}/64 dev eth0 nodad
ip route add default via 10.1.0.1; ip -6 route add default via fd01::1
for a in 10.1.0.0 10.1.0.1 fd01::1 fd01::aa; do ip neigh replace $a lladdr 02:00:00:00:00:01 dev eth0 nud permanent; done
for a in 10.1.0.${other} fd01::${other}; do ip neigh replace $a lladdr ${mac} dev eth0 nud permanent; done
`;
}

const OUTSIDE_SETUP = `
sysctl -qw net.ipv6.conf.all.accept_dad=0
ip link set eth0 up; ip addr add 192.168.7.7/24 dev eth0; ip addr add fd07::7/64 dev eth0 nodad
ip route add default via 192.168.7.6; ip -6 route add default via fd07::6
for a in 192.168.7.6 192.168.7.60 fd07::6; do ip neigh replace $a lladdr 02:00:00:00:02:07 dev eth0 nud permanent; done
`;

const REMOTE_SETUP = `
sysctl -qw net.ipv6.conf.all.accept_dad=0
ip link set eth0 up; ip addr add 10.2.0.2/32 dev eth0; ip addr add fd02::2/128 dev eth0 nodad
ip route add default via 10.1.0.0 dev eth0 onlink; ip -6 route add default via fd01::aa dev eth0 onlink
for a in 10.1.0.0 fd01::aa; do ip neigh replace $a lladdr 02:00:00:00:02:08 dev eth0 nud permanent; done
`;

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
  return readHostState(JSON.stringify(state), { file: "the test's host" });
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

interface Sender extends AsyncDisposable {
  send(packet: Buffer, mark: number): void;
}

/**
 * Perl is part of every Debian, and has raw sockets; Node has none. A line is a mark and a packet, in hex. A socket a
 * source, bound to it where the address is the sender's own: the first route of a packet hangs on its source.
 */
const SENDER = `use Socket; use strict; my %sockets;
while (my $line = <STDIN>) {
  my ($mark, $hex) = split ' ', $line; my $p = pack('H*', $hex);
  my $is4 = ord($p) >> 4 == 4;
  my $from = $is4 ? substr($p, 12, 4) : substr($p, 8, 16); my $to = $is4 ? substr($p, 16, 4) : substr($p, 24, 16);
  my $s = $sockets{$from};
  if (!$s) {
    socket($s, $is4 ? AF_INET : AF_INET6, SOCK_RAW, 255) or die $!;
    bind($s, $is4 ? pack_sockaddr_in(0, $from) : pack_sockaddr_in6(0, $from));
    $sockets{$from} = $s;
  }
  setsockopt($s, SOL_SOCKET, 36, pack('L', hex $mark));
  send($s, $p, 0, $is4 ? pack_sockaddr_in(0, $to) : pack_sockaddr_in6(0, $to));
}`;

function inside(namespace: NetworkNamespace, command: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, command, ...args]);
}

function ending(child: ChildProcessWithoutNullStreams): () => Promise<void> {
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  return () => {
    child.stdin.end();
    child.kill();
    return exited;
  };
}

function startSender(namespace: NetworkNamespace): Sender {
  // One CPU for all: what is sent first is through first.
  const child = inside(namespace, "taskset", ["-c", "0", "perl", "-e", SENDER]);
  child.stderr.on("data", (text: Buffer) => process.stderr.write(text));
  return {
    send: (packet, mark) => child.stdin.write(`${mark.toString(16)} ${packet.toString("hex")}\n`),
    [Symbol.asyncDispose]: ending(child),
  };
}

interface Shell extends AsyncDisposable {
  /** @returns what it printed to stderr, where it failed */
  run(script: string): Promise<string | undefined>;
}

/** A shell that stays, because starting one a rule set would take longer than loading it. */
function startShell(namespace: NetworkNamespace): Shell {
  const child = inside(namespace, "sh", []);
  let output = "";
  let wake: () => void = () => {};
  const gather = (text: Buffer) => {
    output += text.toString();
    wake();
  };
  child.stdout.on("data", gather);
  child.stderr.on("data", gather);
  return {
    async run(script) {
      output = "";
      child.stdin.write(`{ ${script}\n} 2>&1; echo "done $?"\n`);
      for (;;) {
        const end = /^done (\d+)$/m.exec(output);
        if (end !== null) return end[1] === "0" ? undefined : output;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: ending(child),
  };
}

/** Follows a netfilter log. */
async function watch(
  namespace: NetworkNamespace,
  onSeen: (observation: Observation) => void,
): Promise<AsyncDisposable> {
  const child = inside(namespace, "tcpdump", [
    "-i",
    `nflog:${LOG_GROUP}`,
    "-s",
    "192",
    "-U",
    "--immediate-mode",
    "-w",
    "-",
  ]);
  let rest = Buffer.alloc(0);
  let hasHeader = false;
  child.stdout.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    if (!hasHeader) {
      if (rest.length < 24) return;
      rest = rest.subarray(24);
      hasHeader = true;
    }
    while (rest.length >= 16) {
      const length = rest.readUInt32LE(8);
      if (rest.length < 16 + length) return;
      const observation = readObservation(rest.subarray(16, 16 + length));
      rest = rest.subarray(16 + length);
      if (observation !== undefined) onSeen(observation);
    }
  });
  await new Promise<void>((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("listening on")) resolve();
    });
    child.on("exit", () => reject(new Error(`tcpdump ended: ${text}`)));
  });
  return { [Symbol.asyncDispose]: ending(child) };
}
