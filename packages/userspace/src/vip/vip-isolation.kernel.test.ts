import process from "node:process";
import type { Machine } from "@svcproxy/host";
import { machineInside } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { describe, expect, onTestFinished, test } from "vitest";
import { MOST_PORT_RULES, type VipPort } from "./isolation.ts";
import { LocalVips, removeLocalVips } from "./local-vips.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter"]);
const WEB = address("10.96.0.10");
const DNS = address("10.96.0.11");
const WEB6 = address("fd00:96::10");
const VIPS = [WEB, DNS, WEB6];
/** What does not answer within it, on a busy machine too, does not answer. */
const SILENCE_MS = 2_500;
const PORTS: readonly VipPort[] = [
  { protocol: "tcp", address: WEB, port: 80 },
  { protocol: "udp", address: DNS, port: 53 },
  { protocol: "tcp", address: DNS, port: 65_535 },
  { protocol: "tcp", address: WEB6, port: 80 },
];

describe.skipIf(reason !== undefined)(`isolated VIPs${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("lead to the services' ports, from everywhere, and to nothing else of the host", async () => {
    const { host, neighbour, machine } = await startHosts();
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    expect((await vips.ensure(VIPS, PORTS)).notIsolated).toEqual(new Map());
    await listen(host);
    for (const from of [host, neighbour]) {
      for (const open of [`${WEB} 80`, `${DNS} 65535`, `${WEB6} 80`, "192.168.9.1 22", "fd00:9::1 22"])
        expect(await dial(from, open), open).toBe("answer");
      const shut = [`${WEB} 22`, `${DNS} 22`, `${WEB6} 22`, `${DNS} 80`, `${WEB} 65535`];
      for (const outcome of await Promise.all(shut.map((to) => dial(from, to))))
        expect(outcome).toMatch(/EHOSTUNREACH|ETIMEDOUT|ENETUNREACH/);
      expect(await ask(from, `${DNS} 53 5`)).toBe("5");
      // It comes in pieces, and only the first of them names a port.
      expect(await ask(from, `${DNS} 53 5000`)).toBe("5000");
      expect(await ask(from, `${DNS} 123 5`)).toBe("nothing");
    }
    // Who picks a service's port as his own gets nowhere by it.
    expect(await dial(neighbour, `${WEB} 22 80`)).toMatch(/EHOSTUNREACH|ETIMEDOUT/);
  });

  test("are silent where a neighbour asks who has them, and errors of the path reach them", async () => {
    const { host, neighbour, machine } = await startHosts();
    const vip = address("192.168.9.77");
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    await vips.ensure([vip, WEB], [{ protocol: "tcp", address: vip, port: 80 }, ...PORTS.slice(0, 1)]);
    await ask(neighbour, `${vip} 53 5`);
    expect((await neighbour.run("ip", ["neigh", "show", vip])).stdout).toMatch(/FAILED|INCOMPLETE/);
    const errors = ["route", "get", WEB, "from", "192.168.9.2", "iif", "veth0", "ipproto"];
    expect((await host.run("ip", [...errors, "icmp"])).stdout).toContain("local");
    await expect(host.run("ip", [...errors, "tcp"])).rejects.toThrow("No route to host");
  });

  test("are isolated without touching another program's rules, and the host is left as it was", async () => {
    const { host, machine } = await startHosts();
    await host.run("ip", ["rule", "add", "pref", "50", "fwmark", "7", "lookup", "77"]);
    await host.run("ip", [
      "-6",
      "rule",
      "add",
      "pref",
      "5000",
      "from",
      "fd00:1::/64",
      "lookup",
      "78",
      "protocol",
      "99",
    ]);
    const before = await state(host);
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    await vips.ensure(VIPS, PORTS);
    expect(await rules(host)).not.toMatch(/^0:/m);
    expect(await rules(host)).toContain("fwmark 0x7 lookup 77");
    expect((await vips.release()).left).toEqual([]);
    expect(await state(host)).toBe(before);
  });

  test("at every step of the way in and out the host looks up its own addresses, and whoever comes next ends it", async () => {
    const recorded = await startHosts();
    const before = await state(recorded.host);
    const { recording, steps } = record(recorded.machine);
    const vips = new LocalVips({ machine: recording, device: "svcproxy0", ranges: [], isolates: true });
    await vips.ensure(VIPS, PORTS);
    await vips.release();
    expect(await state(recorded.host)).toBe(before);
    expect(steps.length).toBeGreaterThan(40);
    const { host, machine } = await startHosts();
    for (const [index, step] of steps.entries()) {
      await host.run("ip", step).catch(() => {});
      for (const local of ["192.168.9.1", "fd00:9::1"])
        expect((await host.run("ip", ["route", "get", local])).stdout, step.join(" ")).toContain("local");
      if (index % 7 !== 0) continue;
      // Killed here: a new start, and its end.
      const next = await startHosts();
      for (const done of steps.slice(0, index + 1)) await next.host.run("ip", done).catch(() => {});
      const again = new LocalVips({ machine: next.machine, device: "svcproxy0", ranges: [], isolates: true });
      expect((await again.ensure(VIPS, PORTS)).notIsolated).toEqual(new Map());
      await removeLocalVips(next.machine);
      expect(await state(next.host), step.join(" ")).toBe(before);
    }
    expect((await removeLocalVips(machine)).left).toEqual([]);
  });

  test("as long as they are about to be local, this host's dials take the way that they took before", async () => {
    const recorded = await startHosts();
    const { recording, steps } = record(recorded.machine);
    const vips = new LocalVips({ machine: recording, device: "svcproxy0", ranges: [], isolates: true });
    const ports = [DNS, WEB6].map((vip) => ({ protocol: "udp" as const, address: vip, port: 53 }));
    await vips.ensure([DNS, WEB6], ports);
    expect(await rules(recorded.host)).not.toMatch(/^82:/m);
    const { host } = await startHosts();
    await host.run("ip", ["route", "add", "default", "via", "192.168.9.2"]);
    await host.run("ip", ["-6", "route", "add", "default", "via", "fd00:9::2"]);
    for (const step of steps) {
      await host.run("ip", step).catch(() => {});
      for (const vip of [DNS, WEB6]) expect(await sourceOf(host, `${vip} 53`), step.join(" ")).toContain(":");
    }
    expect(await sourceOf(host, `${DNS} 53`)).toBe(`source: ${DNS}`);
  });

  test("a port comes and goes while the others stay, and asking twice changes nothing", async () => {
    const { host, machine } = await startHosts();
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    await vips.ensure(VIPS, PORTS);
    const first = await rules(host);
    await vips.ensure(VIPS, PORTS);
    await vips.retain(VIPS, PORTS);
    expect(await rules(host)).toBe(first);
    const more: readonly VipPort[] = [...PORTS, { protocol: "tcp", address: DNS, port: 80 }];
    await vips.ensure(VIPS, more);
    expect(await rules(host)).toBe(first);
    expect(await table(host, "830600080")).toContain(DNS);
    await vips.retain(VIPS, PORTS);
    expect(await table(host, "830600080")).not.toContain(DNS);
    await vips.retain([WEB], PORTS.slice(0, 1));
    expect(await rules(host)).not.toContain("dport 53");
    expect(await rules(host)).toContain("dport 80");
    expect(await host.run("ip", ["-6", "rule"])).toMatchObject({
      stdout: expect.stringContaining("0:\tfrom all lookup local"),
    });
  });

  test("what another program did to the host's own rule is said, and then nothing is changed", async () => {
    const { host, machine } = await startHosts();
    await host.run("ip", ["rule", "add", "pref", "100", "lookup", "local"]);
    await host.run("ip", ["rule", "del", "pref", "0", "lookup", "local"]);
    const before = await rules(host);
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    const { notIsolated } = await vips.ensure(VIPS, PORTS);
    expect([...notIsolated]).toEqual([[4, expect.stringContaining("another program has moved")]]);
    expect(await rules(host)).toBe(before);
    await vips.release();
    expect(await rules(host)).toBe(before);
  });

  test("thousands of ports share so many rules that a new connection does not feel them", async () => {
    const { host, machine } = await startHosts();
    const many = Array.from({ length: 5_000 }, (_, index) => address(`10.97.${index >> 8}.${index & 255}`));
    const ports = many.map((vip, index): VipPort => ({ protocol: "tcp", address: vip, port: 2_000 + 3 * index }));
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [], isolates: true });
    expect((await vips.ensure(many, ports)).notIsolated).toEqual(new Map());
    expect((await rules(host)).split("\n").length).toBeLessThan(2 * MOST_PORT_RULES + 20);
    expect((await vips.release()).left).toEqual([]);
    expect(await host.run("ip", ["route", "show", "table", "all", "proto", "83"])).toMatchObject({ stdout: "" });
  });
});

/** A host (192.168.9.1) and its neighbour (192.168.9.2), which reaches the host's VIPs by it. */
async function startHosts() {
  const host = await createNetworkNamespace();
  const neighbour = await createNetworkNamespace();
  onTestFinished(async () => {
    await host[Symbol.asyncDispose]();
    await neighbour[Symbol.asyncDispose]();
  });
  await host.run("sh", [
    "-c",
    `ip link set lo up; ip link add veth0 type veth peer name veth1 netns ${neighbour.pid}
    ip address add 192.168.9.1/24 dev veth0; ip address add fd00:9::1/64 dev veth0 nodad; ip link set veth0 up`,
  ]);
  await neighbour.run("sh", [
    "-c",
    `ip link set lo up; ip address add 192.168.9.2/24 dev veth1; ip address add fd00:9::2/64 dev veth1 nodad; ip link set veth1 up
    ip route add 10.96.0.0/16 via 192.168.9.1; ip -6 route add fd00:96::/64 via fd00:9::1`,
  ]);
  return { host, neighbour, machine: machineInside(host) };
}

/** What changes the machine by `ip`, as its arguments. */
function record(machine: Machine): { readonly recording: Machine; readonly steps: readonly (readonly string[])[] } {
  const steps: (readonly string[])[] = [];
  const recording: Machine = {
    ...machine,
    run: (tool, args, options = {}) => {
      const family = args.includes("-6") ? ["-6"] : args.includes("-4") ? ["-4"] : [];
      const lines = args.includes("-batch") ? (options.input ?? "").trim().split("\n") : [args.join(" ")];
      if (!args.includes("show")) steps.push(...lines.map((line) => [...family, ...line.split(" ")]));
      return machine.run(tool, args, options);
    },
  };
  return { recording, steps };
}

/** What stands for the host's own programs, and for its proxy: with TCP both listen on all addresses, so that only rules keep them apart. */
async function listen(host: NetworkNamespace): Promise<void> {
  const script = `
    for (const port of [22, 80, 65535]) require("net").createServer((socket) => socket.end("answer")).listen(port, "::");
    for (const [port, address] of [[53, "${DNS}"], [123, "0.0.0.0"]]) {
      const server = require("dgram").createSocket("udp4").bind(port, address);
      server.on("message", ({ length }, { port, address }) => server.send(String(length), port, address));
    }`;
  const { stdout: pid } = await host.run("sh", [
    "-c",
    '"$0" -e "$1" >/dev/null 2>&1 & echo $!',
    process.execPath,
    script,
  ]);
  onTestFinished(() => void process.kill(Number(pid), "SIGKILL"));
  for (let tries = 0; tries < 200 && (await dial(host, "127.0.0.1 65535")) !== "answer"; tries++);
}

/** @param to address, port and perhaps a source port @returns what is there, or the error's code */
async function dial(from: NetworkNamespace, to: string): Promise<string> {
  const script = `
    const [host, port, localPort] = process.argv[1].split(" ");
    const socket = require("net").connect({ host, port: Number(port), localPort: Number(localPort ?? 0) });
    socket.setTimeout(${SILENCE_MS}, () => socket.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })));
    socket.on("error", ({ code }) => process.stdout.write(code));
    socket.pipe(process.stdout);`;
  return (await from.run(process.execPath, ["-e", script, to])).stdout;
}

/** @param to address, port and how many bytes to send */
async function ask(from: NetworkNamespace, to: string): Promise<string> {
  const script = `
    const [host, port, length] = process.argv[1].split(" ");
    const socket = require("dgram").createSocket("udp4");
    const end = (text) => { process.stdout.write(text); process.exit(0); };
    socket.on("error", () => end("nothing"));
    socket.on("message", (data) => end(String(data)));
    setTimeout(end, ${SILENCE_MS}, "nothing");
    socket.connect(Number(port), host, (error) => error ? end("nothing") : socket.send(Buffer.alloc(Number(length))));`;
  return (await from.run(process.execPath, ["-e", script, to])).stdout;
}

/** @returns from which address a datagram would be sent, or the error's code */
async function sourceOf(from: NetworkNamespace, to: string): Promise<string> {
  const script = `
    const [host, port] = process.argv[1].split(" ");
    const socket = require("dgram").createSocket(host.includes(":") ? "udp6" : "udp4");
    const end = (text) => { process.stdout.write(text); process.exit(0); };
    socket.on("error", ({ code }) => end(code));
    socket.connect(Number(port), host, (error) => end(error?.code ?? "source: " + socket.address().address));`;
  return (await from.run(process.execPath, ["-e", script, to])).stdout;
}

async function rules(host: NetworkNamespace): Promise<string> {
  return (await host.run("ip", ["rule", "show"])).stdout;
}

async function table(host: NetworkNamespace, name: string): Promise<string> {
  return (await host.run("ip", ["route", "show", "table", name])).stdout;
}

async function state(host: NetworkNamespace): Promise<string> {
  const command =
    "ip -N -d rule; ip -6 -N -d rule; ip route show table all; ip -6 -o route show table all | grep -v anycast; ip -o link";
  const { stdout } = await host.run("sh", ["-c", command]);
  return stdout
    .split("\n")
    .filter((line) => !/fe80|ff00|link\/|expires/.test(line) && !/^\d+: /.test(line))
    .sort()
    .join("\n");
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}
