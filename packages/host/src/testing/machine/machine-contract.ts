import { readHostState } from "@svcproxy/rules";
import { type IpAddress, parseIpAddress, parsePort } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { type ConntrackEntry, deleteConntrack, listConntrack } from "../../conntrack/conntrack.ts";
import { listBridges } from "../../machine/bridges.ts";
import type { Machine } from "../../machine/machine.ts";
import { requireNetAdmin } from "../../machine/net-admin.ts";
import { findPortHolder } from "../../machine/port-holder.ts";
import { readHostStateJson } from "../../machine/read-host-state-json.ts";
import { runIp, runIpBatch } from "../../tools/run-ip.ts";

/** A machine with nothing on it but loopback, for one test. */
export interface MachineHost extends AsyncDisposable {
  readonly machine: Machine;
  /** The same by a user without any right. */
  readonly nobody: Machine;
  /** The kernel tracks a connection. */
  track(entry: ConntrackEntry): Promise<void>;
  /** A program named `node` listens on 127.0.0.1 over TCP. */
  listen(port: number): Promise<void>;
}

const { signal } = new AbortController();
const BIND = "net.ipv6.ip_nonlocal_bind";
const ROUTE = ["local", "10.96.0.0/16", "dev", "lo", "table", "local", "proto", "83", "metric", "8383"];

/** What a machine promises: the real one, and the one in memory that stands for it in tests. */
export function describeMachine(name: string, create: () => Promise<MachineHost>): void {
  describe(name, () => {
    test("settings are read and set; one that the kernel does not have is neither", async () => {
      await using host = await create();
      const { machine, nobody } = host;
      expect(await machine.readSysctl(BIND)).toBe("0");
      expect(await nobody.writeSysctl(BIND, "1")).toBe(false);
      expect(await machine.writeSysctl(BIND, "1")).toBe(true);
      expect(await machine.readSysctl(BIND)).toBe("1");
      expect(await machine.readSysctl("net.no.such.setting")).toBeUndefined();
      expect(await machine.writeSysctl("net.no.such.setting", "1")).toBe(false);
    });

    test("a device with dots in its name has settings of its own", async () => {
      await using host = await create();
      const { machine } = host;
      await runIp(machine, ["link", "add", "br0.100", "type", "bridge"]);
      expect(await machine.writeSysctl("net.ipv4.conf.br0.100.route_localnet", "1")).toBe(true);
      expect(await machine.readSysctl("net.ipv4.conf.br0.100.route_localnet")).toBe("1");
      expect(await machine.readSysctl("net.ipv4.conf.lo.route_localnet")).toBe("0");
    });

    test("links are made, listed and removed, and what is wrong with a command is told", async () => {
      await using host = await create();
      const { machine } = host;
      expect(await listBridges(machine, { signal })).toEqual([]);
      const add = ["link", "add", "br0", "type", "bridge"];
      expect(await runIp(machine, add)).toMatchObject({ kind: "done" });
      expect(await runIp(machine, add)).toMatchObject({
        kind: "failed",
        stderr: expect.stringContaining("File exists"),
      });
      const unknown = await runIp(machine, ["link", "add", "x0", "type", "svcproxy"]);
      expect(unknown).toMatchObject({ kind: "failed", stderr: expect.stringContaining("Unknown device type") });
      expect(await listBridges(machine, { signal })).toEqual(["br0"]);
      expect(await runIp(machine, ["link", "delete", "br0"])).toMatchObject({ kind: "done" });
      const gone = await runIp(machine, ["link", "delete", "br0"]);
      expect(gone).toMatchObject({ kind: "failed", stderr: expect.stringContaining('Cannot find device "br0"') });
    });

    test("a batch goes on after a command that is refused, and says which", async () => {
      await using host = await create();
      const { machine } = host;
      await runIp(machine, ["link", "add", "br0", "type", "bridge"]);
      const refusals = await runIpBatch(machine, [
        "address add 10.1.1.1/32 dev br0 metric 8383",
        "address add 10.1.1.1/32 dev br0 metric 8383",
        "address add 10.1.1.2/32 dev nosuch",
        "address add fd00::1/128 dev br0 nodad preferred_lft 0 metric 8383",
        "address del 10.1.1.9/32 dev br0",
      ]);
      expect([...refusals]).toEqual([
        [1, { kind: "failed", text: expect.stringMatching(/file exists|already assigned/i) }],
        [2, { kind: "failed", text: expect.stringContaining('"nosuch"') }],
        [4, { kind: "failed", text: expect.stringMatching(/not found|cannot assign/i) }],
      ]);
      const { addresses: before } = machine.readAddresses();
      expect(before.map(({ address }) => address)).toEqual(["127.0.0.1", "::1"]); // the device is down
      await runIp(machine, ["link", "set", "br0", "addrgenmode", "none"]);
      await runIp(machine, ["link", "set", "br0", "up"]);
      const { addresses, fault } = machine.readAddresses();
      expect({ addresses: [...addresses].sort(byAddress), fault }).toEqual({
        addresses: [
          { device: "br0", address: "10.1.1.1", prefixLength: 32, isLoopback: false },
          { device: "lo", address: "127.0.0.1", prefixLength: 8, isLoopback: true },
          { device: "lo", address: "::1", prefixLength: 128, isLoopback: true },
          { device: "br0", address: "fd00::1", prefixLength: 128, isLoopback: false },
        ],
        fault: undefined,
      });
    });

    test("local routes are added once, listed with their marks, and removed once", async () => {
      await using host = await create();
      const { machine } = host;
      const list = async () => {
        const { stdout } = await machine.run("ip", [
          "-4",
          "-N",
          "-details",
          "-json",
          "route",
          "show",
          "table",
          "local",
          "type",
          "local",
        ]);
        const rows: readonly { readonly dst: string; readonly protocol: string; readonly metric?: number }[] =
          JSON.parse(stdout);
        return rows.map(({ dst, protocol, metric = 0 }) => `${dst} ${protocol} ${metric}`).sort();
      };
      const before = await list();
      expect(before).toEqual(["127.0.0.0/8 2 0", "127.0.0.1 2 0"]);
      expect(await runIp(machine, ["-4", "route", "add", ...ROUTE])).toMatchObject({ kind: "done" });
      expect(await runIp(machine, ["-4", "route", "add", ...ROUTE])).toMatchObject({ kind: "failed" });
      expect(await list()).toEqual(["10.96.0.0/16 83 8383", ...before]);
      expect(await runIp(machine, ["-4", "route", "del", ...ROUTE])).toMatchObject({ kind: "done" });
      expect(await runIp(machine, ["-4", "route", "del", ...ROUTE])).toMatchObject({ kind: "failed" });
      expect(await list()).toEqual(before);
    });

    test("who has no right changes nothing", async () => {
      await using host = await create();
      const { nobody, machine } = host;
      const refusals = await runIpBatch(nobody, ["address add 10.1.1.1/32 dev lo"]);
      expect([...refusals.values()]).toMatchObject([{ kind: "not-permitted" }]);
      await expect(requireNetAdmin(nobody)).rejects.toMatchObject({ code: "NEEDS_ROOT" });
      await requireNetAdmin(machine);
      await expect(listConntrack(nobody, { protocol: "udp", family: 4, signal })).rejects.toMatchObject({
        code: "CONNTRACK_FAILED",
      });
    });

    test("connections that the kernel tracks are listed by protocol and family, and forgotten one by one", async () => {
      await using host = await create();
      const { machine } = host;
      const [first, second] = [someEntry({ clientPort: port(40_000) }), someEntry({ clientPort: port(40_001) })];
      await host.track(first);
      await host.track(second);
      const list = () => listConntrack(machine, { protocol: "udp", family: 4, signal });
      expect([...(await list())].sort((a, b) => a.clientPort - b.clientPort)).toEqual([first, second]);
      expect(await listConntrack(machine, { protocol: "tcp", family: 4, signal })).toEqual([]);
      expect(await listConntrack(machine, { protocol: "udp", family: 6, signal })).toEqual([]);
      await deleteConntrack(machine, { entries: [first], signal });
      await deleteConntrack(machine, { entries: [first], signal }); // one that is gone is no fault
      expect(await list()).toEqual([second]);
    });

    test("who holds a port is told by name", async () => {
      await using host = await create();
      const { machine } = host;
      await host.listen(7070);
      const holder = await findPortHolder(machine, { protocol: "tcp", address: address("127.0.0.1"), port: 7070 });
      expect(holder).toEqual({ pid: expect.any(Number), command: expect.stringMatching(/^node/) });
      const others = [
        { protocol: "udp", address: address("127.0.0.1"), port: 7070 },
        { protocol: "tcp", address: address("127.0.0.2"), port: 7070 },
        { protocol: "tcp", address: address("127.0.0.1"), port: 7071 },
      ] as const;
      for (const other of others) expect(await findPortHolder(machine, other)).toBeUndefined();
    });

    test("its state reads as a host's", async () => {
      await using host = await create();
      const { machine } = host;
      await runIp(machine, ["link", "add", "br0", "type", "bridge"]);
      await runIp(machine, ["link", "set", "br0", "addrgenmode", "none"]);
      await runIp(machine, ["address", "add", "10.1.1.1/32", "dev", "br0"]);
      const state = readHostState(await readHostStateJson(machine, { signal }), { file: "state.json" });
      expect(state.interfaces).toMatchObject([
        { name: "lo", isLoopback: true, addresses: [{ address: "127.0.0.1" }, { address: "::1" }] },
        { name: "br0", isLoopback: false, linkKind: "bridge", addresses: [{ address: "10.1.1.1", prefixLength: 32 }] },
      ]);
      expect(state.routes).toContainEqual(
        expect.objectContaining({ type: "local", destination: { address: "10.1.1.1", prefixLength: 32 } }),
      );
      expect(state.sysctls).toMatchObject({ "net.ipv4.conf.br0.route_localnet": "0" });
    });

    test("a tool that is not there is missing", async () => {
      await using host = await create();
      const { machine } = host;
      expect(machine.hasTool("ip")).toBe(true);
      expect(machine.hasTool("svcproxy-no-such-tool")).toBe(false);
      await expect(machine.run("svcproxy-no-such-tool", [])).rejects.toMatchObject({ code: "MISSING_TOOL" });
    });

    test("one has a lock at a time; who waits is told for whom, and for how long it was", async () => {
      await using host = await create();
      const { machine } = host;
      const options = { name: "contract", signal, waitMs: 20_000, deed: "has been at it" };
      const first = await machine.lock(options);
      await expect(machine.lock({ ...options, waitMs: 50 })).rejects.toMatchObject({
        code: "LOCKED",
        message: expect.stringMatching(/^Another svcproxy \(pid \d+\) has been at it for 0.05 s$/),
      });
      await expect(machine.lock({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: "INTERRUPTED",
      });
      await using _other = await machine.lock({ ...options, name: "contract-2" });
      let holder: number | undefined;
      const onWait = (pid: number | undefined) => {
        holder = pid;
        void first[Symbol.asyncDispose]();
      };
      await using _second = await machine.lock({ ...options, onWait });
      expect(holder).toEqual(expect.any(Number));
    });
  });
}

function byAddress(a: { readonly address: string }, b: { readonly address: string }): number {
  return a.address < b.address ? -1 : 1;
}

function someEntry(entry: Partial<ConntrackEntry>): ConntrackEntry {
  return {
    ...{ protocol: "udp", client: address("10.9.0.1"), clientPort: port(40_000) },
    ...{ destination: address("10.100.0.2"), destinationPort: port(53) },
    ...{ server: address("10.5.75.2"), serverPort: port(3000) },
    ...entry,
  };
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`not an address: ${text}`);
  return parsed;
}

function port(number: number) {
  const parsed = parsePort(number);
  if (parsed === undefined) throw new TypeError(`not a port: ${number}`);
  return parsed;
}
