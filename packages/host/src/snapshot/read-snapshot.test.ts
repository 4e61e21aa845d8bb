import { InputError } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { MemoryMachine } from "../testing/machine/memory-machine.ts";
import { collectSnapshot } from "./collect-snapshot.ts";
import { isSnapshotText, readSnapshot } from "./read-snapshot.ts";

const { signal } = new AbortController();
const OPTIONS = { signal, takenAt: "2026-01-02T03:04:05Z", hostname: "web1" };

test("what could not be read is told with its reason, in the file as well", async () => {
  const refuse = () => ({
    exitCode: 1,
    stdout: "",
    stderr: "ipset v7.17: Kernel error received: Operation not permitted\n",
  });
  const machine = new MemoryMachine({
    tools: { ipset: refuse, nft: () => ({ exitCode: 1, stdout: "", stderr: "no\n" }) },
  });
  const { text, unread } = await collectSnapshot(machine, OPTIONS);
  expect(unread).toEqual(
    expect.arrayContaining([
      { part: "ipset", because: "ipset needs root (CAP_NET_ADMIN)" },
      { part: "nfacct", because: "nfacct is not on this machine (apt-get install nfacct)" },
      { part: "fdb", because: "bridge is not on this machine (apt-get install iproute2)" },
      { part: "snmp", because: "this kernel has no /proc/net/snmp, or it may not be read" },
      { part: "rules", because: "Cannot read the rules: nft list ruleset: no" },
      { part: "nftJson", because: "nft says: no" },
    ]),
  );
  expect(isSnapshotText(text)).toBe(true);
  const snapshot = readSnapshot(text, { file: "web1.json" });
  expect(snapshot).toMatchObject({ takenAt: OPTIONS.takenAt, hostname: "web1", unread, rules: undefined });
  expect(snapshot.hostState.interfaces.map(({ name }) => name)).toEqual(["lo"]);
});

test("tables that nobody could list count as rules that were not read", async () => {
  const { text, unread } = await collectSnapshot(new MemoryMachine(), OPTIONS);
  const because = "nft is not on this machine (apt-get install nftables)";
  expect(unread).toContainEqual({ part: "rules", because: `nftables: ${because}` });
  expect(readSnapshot(text, { file: "web1.json" }).rules?.unread).toEqual([{ table: "nftables", because }]);
});

const REST = '"addr": [], "route": [], "rule": [], "sysctls": {}';

test.for([
  {
    name: "half a file",
    text: '{"svcproxySnapshot": 1,\n"addr": [',
    says: /web1\.json" as a host's state: .*(line 2|end of JSON)/,
  },
  {
    name: "a later version",
    text: `{"svcproxySnapshot": 2, ${REST}}`,
    says: /snapshot of version 2, and this svcproxy reads version 1/,
  },
  { name: "no version", text: `{"svcproxySnapshot": "1", ${REST}}`, says: /not a snapshot of a host/ },
  {
    name: "a link without a name",
    text: `{"svcproxySnapshot": 1, ${REST}, "link": [{"mtu": 1}]}`,
    says: /at link\.0\.ifname: it is not a string/,
  },
  {
    name: "links that are no list",
    text: `{"svcproxySnapshot": 1, ${REST}, "link": 5}`,
    says: /at link: it is not a list/,
  },
  {
    name: "rules without text",
    text: `{"svcproxySnapshot": 1, ${REST}, "rules": {"texts": [{"file": "a"}], "unread": []}}`,
    says: /at rules\.texts\.0\.text/,
  },
  {
    name: "flows that are numbers",
    text: `{"svcproxySnapshot": 1, ${REST}, "udpFlows": [1]}`,
    says: /at udpFlows: it is not a string/,
  },
])("$name is refused with its place", ({ text, says }) => {
  expect(() => readSnapshot(text, { file: "web1.json" })).toThrow(says);
  expect(() => readSnapshot(text, { file: "web1.json" })).toThrow(InputError);
});

test("a file with a fault in each of its entries names the first twenty", () => {
  const text = `{"svcproxySnapshot": 1, ${REST}, "link": [${Array.from({ length: 5000 }, () => '{"mtu":1}').join(",")}]}`;
  try {
    readSnapshot(text, { file: "web1.json" });
    expect.unreachable();
  } catch (error) {
    expect(error instanceof InputError && error.faults.length).toBe(20);
  }
});

test("names as a program could have them make no object of another kind", () => {
  const text = `{"svcproxySnapshot": 1, ${REST}, "__proto__": {"isUp": true}, "link": [{"ifname": "__proto__", "stats64": {"rx": {"__proto__": 3}}}]}`;
  const { links } = readSnapshot(text, { file: "web1.json" });
  expect(links[0]).toMatchObject({ name: "__proto__", isUp: false });
});
