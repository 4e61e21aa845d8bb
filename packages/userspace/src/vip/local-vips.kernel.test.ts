import type { Machine } from "@svcproxy/host";
import { AS_NOBODY, machineInside } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { LocalVips, removeLocalVips } from "./local-vips.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter"]);
const V4 = address("10.100.100.1");
const OTHER_V4 = address("10.100.100.2");
const V6 = address("fd00:100::1");
const BOTH = [V4, V6];

describe.skipIf(reason !== undefined)(`local VIPs${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for(["svcproxy0", "lo"])("are made on %s and taken away exactly", async (device) => {
    await using namespace = await createNetworkNamespace();
    const before = await fingerprint(namespace);
    const vips = new LocalVips({ machine: machineInside(namespace), device, ranges: [] });
    const report = await vips.ensure(BOTH);
    expect(report).toMatchObject({ notLocal: new Map(), problems: [] });
    for (const vip of BOTH) expect(await canListen(namespace, vip)).toBe(true);
    expect((await vips.release()).left).toEqual([]);
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("asking twice changes nothing", async () => {
    await using namespace = await createNetworkNamespace();
    const vips = new LocalVips({
      machine: machineInside(namespace),
      device: "svcproxy0",
      ranges: [range("10.96.0.0/16")],
    });
    await vips.ensure(BOTH);
    const once = await fingerprint(namespace);
    await vips.ensure(BOTH);
    expect(await fingerprint(namespace)).toEqual(once);
  });

  test("a VIP that someone else made local is used and stays", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("ip", ["address", "add", `${V4}/32`, "dev", "lo"]);
    const before = await fingerprint(namespace);
    const vips = new LocalVips({ machine: machineInside(namespace), device: "lo", ranges: [] });
    await vips.ensure([V4, OTHER_V4]);
    await vips.release();
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("a device svcproxy0 that someone else made is used and stays", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("ip", ["link", "add", "svcproxy0", "type", "bridge"]);
    await namespace.run("ip", ["link", "set", "svcproxy0", "addrgenmode", "none", "up"]);
    await namespace.run("ip", ["address", "add", `${V4}/32`, "dev", "svcproxy0"]);
    const before = await fingerprint(namespace);
    const vips = new LocalVips({ machine: machineInside(namespace), device: "svcproxy0", ranges: [] });
    expect((await vips.ensure([V4, OTHER_V4])).notLocal.size).toBe(0);
    await vips.release();
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("an address that someone else put on our device outlives us, and the device with it", async () => {
    await using namespace = await createNetworkNamespace();
    const vips = new LocalVips({ machine: machineInside(namespace), device: "svcproxy0", ranges: [] });
    await vips.ensure([V4]);
    await namespace.run("ip", ["address", "add", `${OTHER_V4}/32`, "dev", "svcproxy0"]);
    expect((await vips.release()).left).toEqual([]);
    const { stdout } = await namespace.run("ip", ["-json", "-4", "address", "show", "dev", "svcproxy0"]);
    expect(stdout).toContain(OTHER_V4);
    expect(stdout).not.toContain(`"${V4}"`);
  });

  test("what a killed run left is taken over by the next, and the rest goes", async () => {
    await using namespace = await createNetworkNamespace();
    const before = await fingerprint(namespace);
    const machine = machineInside(namespace);
    await new LocalVips({ machine, device: "lo", ranges: [range("fd00:200::/64")] }).ensure([V4, OTHER_V4]);
    // Nobody called release(): the next run has another device, another range and one VIP less.
    const next = new LocalVips({ machine, device: "svcproxy0", ranges: [] });
    expect((await next.ensure([V4])).notLocal.size).toBe(0);
    expect((await next.retain([V4])).left).toEqual([]);
    expect(await canListen(namespace, V4)).toBe(true);
    expect(await canListen(namespace, OTHER_V4)).toBe(false);
    expect(await machine.readSysctl("net.ipv6.ip_nonlocal_bind")).toBe("0");
    await next.release();
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("a start that was killed before its device was up is mended", async () => {
    await using namespace = await createNetworkNamespace();
    const machine = machineInside(namespace);
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [] });
    await vips.ensure(BOTH);
    await namespace.run("ip", ["link", "set", "svcproxy0", "down"]);
    await namespace.run("ip", ["address", "replace", `${V6}/128`, "dev", "svcproxy0", "nodad", "metric", "8383"]);
    // The next one has another device.
    expect((await new LocalVips({ machine, device: "lo", ranges: [] }).ensure(BOTH)).notLocal.size).toBe(0);
    expect((await namespace.run("ip", ["-json", "link", "show", "svcproxy0"])).stdout).toContain('"UP"');
    for (const vip of BOTH) expect(await canListen(namespace, vip)).toBe(true);
  });

  test("a range that a killed run left does not count: its VIPs outlive it", async () => {
    await using namespace = await createNetworkNamespace();
    const before = await fingerprint(namespace);
    const machine = machineInside(namespace);
    const ranges = [range("10.100.0.0/16"), range("fd00:100::/64")];
    await new LocalVips({ machine, device: "svcproxy0", ranges }).ensure(BOTH);
    const next = new LocalVips({ machine, device: "svcproxy0", ranges: [] });
    expect((await next.ensure(BOTH)).notLocal.size).toBe(0);
    expect((await next.retain(BOTH)).left).toEqual([]);
    for (const vip of BOTH) expect(await canListen(namespace, vip)).toBe(true);
    expect(await canListen(namespace, OTHER_V4)).toBe(false);
    await next.release();
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("cleanup takes away what a killed run left", async () => {
    await using namespace = await createNetworkNamespace();
    const before = await fingerprint(namespace);
    const machine = machineInside(namespace);
    const ranges = [range("10.96.0.0/16"), range("fd00:200::/64"), range("fd00:300::/64")];
    await new LocalVips({ machine, device: "svcproxy0", ranges }).ensure(BOTH);
    expect(await fingerprint(namespace)).not.toEqual(before);
    expect((await removeLocalVips(machine)).left).toEqual([]);
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("a range is one route, and its VIPs need no address", async () => {
    await using namespace = await createNetworkNamespace();
    const ranges = [range("10.100.0.0/16"), range("fd00:100::/64")];
    const vips = new LocalVips({ machine: machineInside(namespace), device: "svcproxy0", ranges });
    expect((await vips.ensure(BOTH)).notLocal.size).toBe(0);
    for (const vip of BOTH) expect(await canListen(namespace, vip)).toBe(true);
    expect((await namespace.run("ip", ["-json", "link"])).stdout).not.toContain("svcproxy0");
    await vips.release();
    for (const vip of BOTH) expect(await canListen(namespace, vip)).toBe(false);
  });

  test.for(["0", "1"])("net.ipv6.ip_nonlocal_bind=%s is put back with the last IPv6 range", async (value) => {
    await using namespace = await createNetworkNamespace();
    const machine = machineInside(namespace);
    await machine.writeSysctl("net.ipv6.ip_nonlocal_bind", value);
    const [first, second] = [range("fd00:100::/64"), range("fd00:200::/64")];
    await new LocalVips({ machine, ranges: [first, second] }).ensure([]);
    expect(await machine.readSysctl("net.ipv6.ip_nonlocal_bind")).toBe("1");
    const fewer = new LocalVips({ machine, ranges: [second] });
    await fewer.retain([]);
    expect(await machine.readSysctl("net.ipv6.ip_nonlocal_bind")).toBe("1");
    await fewer.release();
    expect(await machine.readSysctl("net.ipv6.ip_nonlocal_bind")).toBe(value);
  });

  test("a local route that was there before is used and stays", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("ip", ["route", "add", "local", "10.100.0.0/16", "dev", "lo"]);
    const before = await fingerprint(namespace);
    const vips = new LocalVips({
      machine: machineInside(namespace),
      device: "svcproxy0",
      ranges: [range("10.100.0.0/16")],
    });
    expect((await vips.ensure([V4])).notLocal.size).toBe(0);
    await vips.release();
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("without the right it says which VIPs are missing and what would help", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("ip", ["address", "add", `${OTHER_V4}/32`, "dev", "lo"]);
    const vips = new LocalVips({
      machine: machineInside(namespace, { as: AS_NOBODY }),
      device: "svcproxy0",
      ranges: [],
    });
    expect(await vips.ensure([V4, OTHER_V4])).toMatchObject({
      notLocal: new Map([[V4, "changing addresses and routes needs CAP_NET_ADMIN"]]),
      command: `sudo ip address add ${V4}/32 dev lo`,
      problems: [],
    });
  });

  test("without the right a range is reported, and the VIPs in it as well", async () => {
    await using namespace = await createNetworkNamespace();
    const machine = machineInside(namespace, { as: AS_NOBODY });
    const report = await new LocalVips({ machine, device: "svcproxy0", ranges: [range("10.100.0.0/16")] }).ensure([V4]);
    expect([...report.notLocal.keys()]).toEqual([V4]);
    expect(report.problems).toMatchObject([
      { code: "VIP_NOT_LOCAL", subject: "range 10.100.0.0/16", text: expect.stringContaining("10.100.0.0/16") },
    ]);
  });

  test("one address that the kernel refuses does not keep the others away", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("sh", ["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]);
    const vips = new LocalVips({ machine: machineInside(namespace), device: "svcproxy0", ranges: [] });
    const report = await vips.ensure(BOTH);
    expect([...report.notLocal]).toEqual([[V6, expect.stringContaining("IPv6 is disabled")]]);
    expect(await canListen(namespace, V4)).toBe(true);
  });

  test("an address that somebody adds meanwhile is local, and stays", async () => {
    await using namespace = await createNetworkNamespace();
    const machine = machineInside(namespace);
    const meanwhile: Machine = {
      ...machine,
      run: async (tool, args, options) => {
        if (options?.input?.includes("address add") === true) {
          await namespace.run("ip", ["address", "add", `${V4}/32`, "dev", "lo"]);
        }
        return machine.run(tool, args, options);
      },
    };
    const vips = new LocalVips({ machine: meanwhile, device: "lo", ranges: [] });
    expect((await vips.ensure([V4, OTHER_V4])).notLocal.size).toBe(0);
    await vips.release();
    expect(await canListen(namespace, V4)).toBe(true);
    expect(await canListen(namespace, OTHER_V4)).toBe(false);
  });

  test("without a device nothing is made", async () => {
    await using namespace = await createNetworkNamespace();
    const before = await fingerprint(namespace);
    const report = await new LocalVips({ machine: machineInside(namespace), ranges: [] }).ensure([V4]);
    expect([...report.notLocal.keys()]).toEqual([V4]);
    expect(await fingerprint(namespace)).toEqual(before);
  });

  test("a device that is not there is named", async () => {
    await using namespace = await createNetworkNamespace();
    const report = await new LocalVips({ machine: machineInside(namespace), device: "nosuch", ranges: [] }).ensure([
      V4,
    ]);
    expect([...report.notLocal.values()]).toEqual([expect.stringContaining("nosuch")]);
  });

  test("two thousand VIPs come in one command to a device that is not up yet, and go with it", async () => {
    await using namespace = await createNetworkNamespace();
    const many = Array.from({ length: 2000 }, (_, index) =>
      address(index % 2 === 0 ? `10.97.${index >> 8}.${index & 255}` : `fd00:97::${index.toString(16)}`),
    );
    const commands: string[] = [];
    const counted = machineInside(namespace);
    const machine: Machine = {
      ...counted,
      run: (tool, args, options) => {
        commands.push(args.join(" "));
        return counted.run(tool, args, options);
      },
    };
    const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [] });
    expect((await vips.ensure(many)).notLocal.size).toBe(0);
    expect(commands.slice(-2)).toEqual(["-force -batch -", "link set svcproxy0 up"]);
    // No multicast group for each IPv6 address, through whose list the next one would have to go.
    expect((await namespace.run("ip", ["-json", "link", "show", "svcproxy0"])).stdout).toContain('"NOARP"');
    expect(await canListen(namespace, address("fd00:97::7cf"))).toBe(true);
    expect((await vips.release()).left).toEqual([]);
    expect(commands.filter((command) => command.includes("-batch"))).toHaveLength(1);
  });
});

/** Everything that making VIPs local may change. */
async function fingerprint(namespace: NetworkNamespace): Promise<string> {
  const command =
    "ip -o address show; ip route show table all; ip -6 route show table all; cat /proc/sys/net/ipv6/ip_nonlocal_bind";
  const { stdout } = await namespace.run("sh", ["-c", command]);
  return stdout.split("\n").sort().join("\n");
}

async function canListen(namespace: NetworkNamespace, address: IpAddress): Promise<boolean> {
  const script = `require("net").createServer().on("error", () => process.exit(1)).listen(0, "${address}", () => process.exit(0))`;
  return namespace.run(process.execPath, ["-e", script]).then(
    () => true,
    () => false,
  );
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

function range(text: string) {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`no range: ${text}`);
  return cidr;
}
