import { expect, test } from "vitest";
import { readSysctl, sysctlPath, writeSysctl } from "./sysctls.ts";

test.for([
  ["net.ipv4.ip_forward", "net/ipv4/ip_forward"],
  ["net.ipv4.conf.all.rp_filter", "net/ipv4/conf/all/rp_filter"],
  ["net.ipv4.conf.eth0.100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter"],
  ["net.ipv6.conf.a.b.c.disable_ipv6", "net/ipv6/conf/a.b.c/disable_ipv6"],
  ["net.ipv4.neigh.br-1.2.gc_stale_time", "net/ipv4/neigh/br-1.2/gc_stale_time"],
] as const)("%s is in the file %s", ([name, file]) => {
  expect(sysctlPath(name)).toBe(`/proc/sys/${file}`);
});

test("one that this kernel does not have reads as nothing, and cannot be set", async () => {
  expect(await readSysctl("net.ipv4.conf.lo.forwarding")).toMatch(/^[01]$/);
  expect(await readSysctl("net.no.such.setting")).toBeUndefined();
  expect(await writeSysctl("net.no.such.setting", "1")).toBe(false);
});
