import { MemoryMachine } from "@svcproxy/host/testing";
import { type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { LocalVips } from "./local-vips.ts";

const [V4, V6] = [address("10.100.100.1"), address("fd00:100::1")];

test("VIPs are made and taken away exactly, where the kernel has no dummy device by a bridge", async () => {
  const machine = new MemoryMachine({ linkKinds: ["bridge"] });
  const before = machine.readAddresses();
  const vips = new LocalVips({ machine, device: "svcproxy0", ranges: [] });
  expect(await vips.ensure([V4, V6])).toMatchObject({ notLocal: new Map(), problems: [] });
  expect(machine.ip.links.at(-1)).toMatchObject({ name: "svcproxy0", kind: "bridge", isUp: true, hasArp: false });
  expect(machine.readAddresses().addresses.map(({ address }) => address)).toEqual(expect.arrayContaining([V4, V6]));
  expect((await vips.release()).left).toEqual([]);
  expect(machine.readAddresses()).toEqual(before);
});

test("an IPv6 range sets ip_nonlocal_bind, and the last one sets it back", async () => {
  const machine = new MemoryMachine();
  const range = parseCidr("fd00:200::/64");
  if (range === undefined) throw new TypeError("fd00:200::/64 is a block");
  const vips = new LocalVips({ machine, ranges: [range] });
  await vips.ensure([]);
  expect(machine.ip.routes).toMatchObject([{ destination: "fd00:200::/64", device: "lo" }]);
  expect(machine.sysctls.get("net.ipv6.ip_nonlocal_bind")).toBe("1");
  await vips.release();
  expect(machine.ip.routes).toEqual([]);
  expect(machine.sysctls.get("net.ipv6.ip_nonlocal_bind")).toBe("0");
});

test.for([
  { why: "without the right", machine: { hasNetAdmin: false }, text: /needs CAP_NET_ADMIN/ },
  { why: "without the `ip` command", machine: { tools: { ip: undefined } }, text: /there is no `ip` command/ },
])("$why it says what is missing, and nothing changes", async ({ machine: options, text }) => {
  const machine = new MemoryMachine(options);
  const { notLocal } = await new LocalVips({ machine, device: "svcproxy0", ranges: [] }).ensure([V4]);
  expect([...notLocal]).toEqual([[V4, expect.stringMatching(text)]]);
  expect(machine.ip.links).toHaveLength(1);
});

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`not an address: ${text}`);
  return parsed;
}
