import type { HostProgram, ProxyHost } from "./proxy-host.ts";

export const VIP = "10.96.0.1";
export const OTHER_VIP = "10.96.0.2";

/** Runs what stands behind it as a user without any right. */
export const AS_NOBODY = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];

const UNIT_CAPABILITIES = "-all,+net_admin,+net_bind_service";
/** Runs what stands behind it as the unit does: an ordinary user with the two capabilities that it needs. */
export const AS_UNIT = [
  ...["setpriv", "--reuid=65534", "--clear-groups", "--no-new-privs"],
  ...[`--bounding-set=${UNIT_CAPABILITIES}`, `--inh-caps=${UNIT_CAPABILITIES}`, `--ambient-caps=${UNIT_CAPABILITIES}`],
];

/** What `userspace status --json` prints. */
export async function jsonStatus(host: ProxyHost): Promise<string> {
  const status = host.svcproxy(["userspace", "status", "--json"]);
  await status.end();
  return status.stdout;
}

/** Listens on all addresses, as the host's own programs do. */
export async function startSshd(host: ProxyHost): Promise<void> {
  const sshd = host.startScript(`
    import { createServer } from "node:net";
    createServer((socket) => socket.end("ssh")).listen(22, "0.0.0.0", () => console.log("up"));`);
  await sshd.says("up");
}

/** Tells the name to whoever connects. */
export async function startNamed(host: ProxyHost, address: string, name: string, port = 8080): Promise<HostProgram> {
  const script = `
    import { createServer } from "node:net";
    const [address, name, port] = process.argv.slice(1);
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", (data) => (String(data) === "hold" ? socket.write("held") : socket.end(name)));
    }).listen(Number(port), address, () => console.log("listening"));`;
  const server = host.startScript(script, address, name, String(port));
  await server.says("listening");
  return server;
}

/** Keeps a connection open, and says when and how it ends. */
export const HOLD_A_CONNECTION = `
  import { connect } from "node:net";
  let code = "";
  const socket = connect(80, process.argv[1], () => socket.write("hold"));
  socket.once("data", () => console.log("open"));
  socket.on("error", (error) => { code = error.code; }).on("close", () => console.log("closed " + code));`;

/** Sends back what it is sent. */
export const ECHO = `
  import { createServer } from "node:net";
  createServer((socket) => socket.pipe(socket)).listen(8080, process.argv[1], () => console.log("listening"));`;

/** Speaks once at its start and once for each SIGUSR2, and says what is answered. */
export const SPEAK_WHEN_TOLD = `
  import { connect } from "node:net";
  const socket = connect(80, process.argv[1], () => socket.write("hello"));
  socket.once("data", () => {
    console.log("open");
    socket.on("data", () => console.log("answered"));
  });
  process.on("SIGUSR2", () => socket.write("again"));`;

/** Dials one after the other until SIGTERM, then says how many got no answer. */
export const DIAL_WITHOUT_PAUSE = `
  import { connect } from "node:net";
  let dialled = 0, lost = 0;
  function dial() {
    let answer = "";
    const socket = connect(80, process.argv[1], () => socket.write("who"));
    socket.on("data", (data) => { answer += data; }).on("error", () => {});
    socket.on("close", () => {
      dialled++;
      if (answer !== "one") lost++;
      if (dialled === 20) console.log("going");
      setImmediate(dial);
    });
  }
  for (let index = 0; index < 8; index++) dial();
  process.on("SIGTERM", () => { console.log("lost " + lost + " of " + dialled); process.exit(); });`;

/** A proxy of host a, once it serves. */
export async function serving(host: ProxyHost, topology: unknown, flags: readonly string[] = []): Promise<HostProgram> {
  const proxy = host.svcproxy(["userspace", await host.writeTopology(topology), "--host", "a", ...flags]);
  await proxy.serves();
  return proxy;
}

/** What the server behind a VIP answers. @throws where it is refused or reset */
export async function ask(host: ProxyHost, address: string, port = 80): Promise<string> {
  return host.shell(`printf who | curl -sS -m 10 --no-buffer telnet://${address}:${port}`);
}

/** All that is local: addresses, local routes, and the sysctl for IPv6 ranges. */
export function addresses(host: ProxyHost): Promise<string> {
  return host.shell(
    "ip -o address show; ip route show table local; ip -6 route show table local; cat /proc/sys/net/ipv6/ip_nonlocal_bind",
  );
}

interface TopologyUnderTest {
  readonly vips?: readonly string[];
  readonly ports?: readonly number[];
  readonly sctp?: boolean;
  readonly ipv6?: boolean;
  readonly nodePort?: number;
}

/** Host a; a service for each VIP with the endpoint 127.0.1.1:8080. */
export function topologyOf({
  vips = [VIP],
  ports = [80],
  sctp = false,
  ipv6 = false,
  nodePort,
}: TopologyUnderTest): object {
  const services = vips.map((vip, index) => ({
    name: `web${index}`,
    clusterIP: vip,
    ports: [
      ...ports.map((port) => ({ name: `p${port}`, port, ...(nodePort === undefined ? {} : { nodePort }) })),
      ...(sctp ? [{ name: "sctp", port: 80, protocol: "SCTP" }] : []),
    ],
    endpoints: ["127.0.1.1:8080"],
  }));
  const six = { name: "six", clusterIP: "fd00:96::1", ports: [{ port: 80 }], endpoints: ["[::1]:8080"] };
  return {
    hosts: [{ name: "a", address: "192.0.2.1" }],
    services: ipv6 ? [...services, six] : services,
  };
}
