import type { RuleCount } from "@svcproxy/host";
import { contractPlan, MemoryMachine } from "@svcproxy/host/testing";
import { parseCommands, type RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, type HostPlan, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { MemoryTables } from "../kernel/memory-tables.ts";
import {
  type ChainPlace,
  type PrintedRules,
  RestoreRefused,
  type SavedRules,
  type Urgency,
} from "../kernel/rule-tables.ts";
import { formatChange, type TableChange } from "../kernel/table-change.ts";
import { IptablesDataPath } from "./iptables-data-path.ts";
import type { IptablesMachine } from "./iptables-machine.ts";
import type { IptablesSession } from "./iptables-session.ts";
import { testMachine } from "./testing/test-machine.ts";

const { signal } = new AbortController();
const WEB = new Set(["default/web"]);

/** Rules in memory that count how often somebody looks, and keep what they are fed. */
class WatchedTables extends MemoryTables {
  looks = 0;
  fed: string[] = [];
  refuse: (line: string) => boolean = () => false;
  /** How many tools can still be started without what is in reserve. */
  startsLeft = Number.POSITIVE_INFINITY;
  /** Whether the refusal says which line it was. */
  tellsLine = true;

  override async save(family: Family): Promise<SavedRules> {
    this.looks += 1;
    return super.save(family);
  }

  /** Without being counted. */
  rulesOf(family: Family): Promise<SavedRules> {
    return super.save(family);
  }

  override async restore(change: TableChange, { urgent = false }: Urgency = {}): Promise<void> {
    if (this.startsLeft-- <= 0 && !urgent)
      throw new EnvironmentError("OUT_OF_DESCRIPTORS", "Cannot run iptables-restore");
    const text = formatChange(change);
    const refusedLine = text.split("\n").find((line) => line.startsWith("-A") && this.refuse(line));
    if (refusedLine !== undefined)
      throw new RestoreRefused("RESTORE_REFUSED", "refused", this.tellsLine ? { refusedLine } : {});
    await super.restore(change);
    this.fed.push(text);
  }

  async meddle(script: string): Promise<void> {
    for (const command of parseCommands(script)) {
      await super.restore({ family: 4, table: command.table, commands: [command] });
    }
  }

  forget(): void {
    this.looks = 0;
    this.fed = [];
  }
}

async function openSession(
  tables: MemoryTables,
  { machine = testMachine({ tables, variant: "nft" }) }: { machine?: IptablesMachine } = {},
): Promise<IptablesSession> {
  return new IptablesDataPath({ settings: { dialect: "kubernetes", dispatch: "linear" }, machine }).open(signal);
}

test("a change is fed without a look at the rules, and names the chains of that service alone", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  await session.apply(contractPlan());
  tables.forget();
  await session.apply(contractPlan({ web: ["b", "c"] }), { changed: WEB });
  expect(tables.looks).toBe(0);
  expect(tables.fed).toHaveLength(2); // nat of IPv4 and of IPv6
  const written = tables.fed.join("").match(/^(:|-[AX] )(\S+)/gm) ?? [];
  expect(written.length).toBeGreaterThan(4);
  for (const line of written) expect(line).toMatch(/KUBE-(SVC|SEP|EXT)-/);
});

/** As the kernel's are: what tells rules from others is known without reading them. */
class FingerprintedTables extends WatchedTables {
  override async save(family: Family): Promise<SavedRules> {
    return { ...(await super.save(family)), fingerprint: this.dump() };
  }

  async print(family: Family): Promise<PrintedRules> {
    const [rules, fingerprint] = [await this.rulesOf(family), this.dump()];
    return { family, fingerprint, read: () => ({ ...rules, fingerprint }) };
  }
}

test("a look that finds all rules as the last one left them reads none of them; after a change, and after others', all", async () => {
  const tables = new FingerprintedTables();
  await using session = await openSession(tables);
  const looksOf = async (plan: HostPlan, changed?: ReadonlySet<string>) => {
    tables.forget();
    const report = await session.apply(plan, changed === undefined ? {} : { changed });
    return { looks: tables.looks, changed: report.changed };
  };
  const [first, second] = [contractPlan(), contractPlan({ web: ["b", "c"] })];
  expect((await looksOf(first)).looks).toBeGreaterThan(0);
  expect(await looksOf(first)).toEqual({ looks: 0, changed: false });
  expect(await looksOf(second, WEB)).toEqual({ looks: 0, changed: true });
  expect(await looksOf(second)).toEqual({ looks: 2, changed: false });
  expect(await looksOf(second)).toEqual({ looks: 0, changed: false });
  await tables.meddle("iptables -t nat -F KUBE-SERVICES");
  // What was printed is read; only what came of the change is looked at besides.
  expect(await looksOf(second)).toEqual({ looks: 2, changed: true });
  expect(await looksOf(second)).toEqual({ looks: 0, changed: false });
  expect((await looksOf(first)).changed).toBe(true);
});

/** As with nft: chains are read alone as well. */
class ChainedTables extends FingerprintedTables {
  async readChains(family: Family, { places }: { readonly places: readonly ChainPlace[] }): Promise<RuleSet> {
    const isAsked = (table: string, chain: string) =>
      places.some((place) => place.table === table && place.chain === chain);
    const { tables } = await this.rulesOf(family);
    return {
      family,
      tables: tables.map(({ name, chains }) => ({
        ...{ name, chains: chains.filter((chain) => isAsked(name, chain.name)) },
      })),
    };
  }
}

/** `looks`: at what came of the changes that a look had found. */
const MEDDLINGS = [
  {
    name: "a jump is put back by itself, and told",
    script: "iptables -t nat -D PREROUTING 1",
    ...{ looks: 0, found: ["IPv4 nat PREROUTING: missing-rule"] },
  },
  {
    name: "jumps that were flushed go before rules that others have put there meanwhile",
    script: "iptables -t nat -F OUTPUT\niptables -t filter -F INPUT\niptables -t nat -A OUTPUT -j ACCEPT",
    ...{
      looks: 0,
      found: [...Array(3).fill("IPv4 filter INPUT: missing-rule"), "IPv4 nat OUTPUT: missing-rule"],
    },
  },
  {
    name: "what else is gone is found by the look that follows",
    script: "iptables -t nat -F PREROUTING\niptables -t nat -F KUBE-SERVICES",
    ...{ looks: 2, found: ["IPv4 nat PREROUTING: missing-rule", "IPv4 nat KUBE-SERVICES: flushed-chain"] },
  },
  {
    name: "where the chains are gone as well, the look mends all of it",
    script: "iptables -t nat -F\niptables -t nat -X",
    ...{ looks: 2, found: expect.arrayContaining(["IPv4 nat KUBE-SERVICES: missing-chain"]) },
  },
];

test.for(MEDDLINGS)("$name", async ({ script, looks, found }) => {
  const tables = new ChainedTables();
  await using session = await openSession(tables);
  const plan = contractPlan();
  await session.apply(plan);
  tables.forget();
  await tables.meddle(script);
  const report = await session.apply(plan);
  expect(report.changed).toBe(true);
  const named = report.found?.().map(({ place, kind }) => `${place}: ${kind}`) ?? [];
  expect(named).toEqual(found);
  expect(tables.looks).toBe(looks);
  expect((await dataPathOf(tables).compare(plan, { signal })).differences).toEqual([]);
  tables.forget();
  expect((await session.apply(plan)).changed).toBe(false);
  expect(tables.looks).toBe(0);
});

test("the rules that are ours are counted, and those that were written last", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  const rulesIn = (text: string) => text.match(/^-[AIR] /gm)?.length ?? 0;
  const sumOf = (counts: readonly RuleCount[], member: "total" | "written") =>
    counts.reduce((sum, count) => sum + count[member], 0);
  const loaded = (await session.apply(contractPlan())).ruleCounts?.() ?? [];
  expect(sumOf(loaded, "total")).toBe(rulesIn(tables.dump()));
  expect(sumOf(loaded, "written")).toBe(rulesIn(tables.fed.join("")));
  expect(loaded).toContainEqual({ family: 6, table: "nat", total: expect.any(Number), written: expect.any(Number) });
  tables.forget();
  const changed = (await session.apply(contractPlan({ web: ["b", "c"] }), { changed: WEB })).ruleCounts?.() ?? [];
  expect(sumOf(changed, "total")).toBe(rulesIn(tables.dump()));
  expect(sumOf(changed, "written")).toBe(rulesIn(tables.fed.join("")));
});

test("where no tool can be started half-way, what went in is taken back by what was kept in reserve", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  await session.apply(contractPlan());
  const dump = () => tables.dump().split("\n").sort(); // the order of chains does not matter
  const before = dump();
  tables.startsLeft = 1;
  await expect(session.apply(contractPlan({ web: ["b", "c"] }), { changed: WEB })).rejects.toMatchObject({
    code: "OUT_OF_DESCRIPTORS",
    message: "Cannot run iptables-restore; the host has its old rules again",
  });
  expect(dump()).toEqual(before);
  tables.startsLeft = Number.POSITIVE_INFINITY;
  await session.apply(contractPlan({ web: ["b", "c"] }), { changed: WEB });
  expect(dump()).not.toEqual(before);
});

test("a look is taken where a table comes into play, or the settings of the host changed", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  const served = contractPlan({ services: ["web"] });
  await session.apply(served);
  tables.forget();
  const node = { ...served.node, masqueradeAll: !served.node.masqueradeAll };
  await session.apply({ ...served, node }, { changed: new Set() });
  expect(tables.looks).toBeGreaterThan(0);
});

test("a rule that the change rests on and that is gone makes it look", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  await session.apply(contractPlan());
  await tables.meddle("iptables -t nat -D PREROUTING 1");
  tables.forget();
  await session.apply(contractPlan({ web: ["c"] }), { changed: WEB });
  expect(tables.looks).toBeGreaterThan(0);
  const compared = await dataPathOf(tables).compare(contractPlan({ web: ["c"] }), { signal });
  expect(compared.differences).toEqual([]);
});

test("UDP flows are asked for where UDP changed, by a note that goes again", async () => {
  const tables = new WatchedTables();
  const asked: string[] = [];
  const { open } = testMachine({ tables, variant: "nft" });
  const machine: IptablesMachine = {
    async open(options) {
      return {
        ...(await open(options)),
        async deleteStaleUdpFlows({ before, after }) {
          asked.push(`${before.length} ${after.length}`);
          return { 4: 2, 6: 1 };
        },
      };
    },
  };
  await using session = await openSession(tables, { machine });
  await session.apply(contractPlan());
  asked.length = 0;
  tables.forget();
  const plan = contractPlan();
  const webOnly = { ...plan, ports: plan.ports.map((port) => port) };
  expect((await session.apply(webOnly, { changed: new Set() })).deletedUdpFlows).toEqual({ 4: 0, 6: 0 });
  expect(asked).toEqual([]);
  const report = await session.apply(contractPlan({ dns: ["b"] }), { changed: new Set(["default/dns"]) });
  expect([report.deletedUdpFlows, report.settledUdpMs]).toEqual([{ 4: 2, 6: 1 }, expect.any(Number)]);
  expect(asked).toEqual(["2 2"]);
  expect(tables.looks).toBe(0);
  expect(tables.fed.filter((text) => text.includes("SVCPROXY-UDP-GONE")).length).toBe(4);
  expect(tables.dump()).not.toContain("SVCPROXY-UDP-GONE");
});

test.for([true, false])(
  "of many services those that are refused are found; the line is told: %s",
  async (tellsLine) => {
    const tables = new WatchedTables();
    tables.tellsLine = tellsLine;
    await using session = await openSession(tables);
    const refused = new Set(["default/s7", "default/s23"]);
    tables.refuse = (line) => / -d 10\.96\.0\.(7|23) /.test(`${line} `);
    const { problems } = await session.apply(manyServices(40));
    expect(new Set(problems.map(({ subject }) => subject.replace("service ", "")))).toEqual(refused);
    const failed = session.status().filter(({ state }) => state !== "in-force");
    expect(new Set(failed.map(({ service }) => service))).toEqual(refused);
    tables.refuse = () => false;
    tables.forget();
    expect((await session.apply(manyServices(40), { changed: new Set() })).problems).toEqual([]);
    expect(tables.looks).toBe(0);
    expect((await dataPathOf(tables).compare(manyServices(40), { signal })).differences).toEqual([]);
  },
);

test("whether rules of ours were there before is told by whoever looked", async () => {
  const tables = new WatchedTables();
  const session = await openSession(tables);
  expect((await session.apply(contractPlan())).continues).toBe(false);
  await session[Symbol.asyncDispose]();
  await using next = await openSession(tables);
  expect((await next.apply(contractPlan())).continues).toBe(true);
});

test("changed services that the kernel refuses are told as such, also where all went in after a look", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  expect(await session.apply(contractPlan({ dns: ["a"] }))).not.toHaveProperty("refusedPart");
  let refusals = 1;
  tables.refuse = () => refusals-- > 0;
  const report = await session.apply(contractPlan({ dns: ["b"] }), { changed: new Set(["default/dns"]) });
  expect([report.refusedPart, report.problems]).toEqual([true, []]);
});

test("where the kernel refuses a rule that is none of a service, nothing changes and the error says why", async () => {
  const tables = new WatchedTables();
  await using session = await openSession(tables);
  tables.refuse = (line) => line.startsWith("-A KUBE-MARK-MASQ");
  await expect(session.apply(manyServices(3))).rejects.toMatchObject({ code: "RESTORE_REFUSED" });
  expect(tables.dump()).not.toContain("KUBE-");
  expect(session.status()).toEqual([]);
});

test("a NodePort that a program comes to listen on is refused, and comes back when the program ends", async () => {
  const tables = new WatchedTables();
  const { listeners, holders } = new MemoryMachine();
  const inner = testMachine({ tables, variant: "nft" });
  const machine: IptablesMachine = {
    open: async (options) => ({
      ...(await inner.open(options)),
      readListeners: async () => listeners,
      readHolders: async () => holders,
    }),
  };
  await using session = await openSession(tables, { machine });
  await session.apply(contractPlan({ v6: false }));
  const before = tables.dump();
  const [address] = contractPlan().host.addresses;
  if (address === undefined) throw new Error("the host has no address");
  listeners.push({ protocol: "tcp", port: 30080, address, inode: 7 });
  holders.set(7, { pid: 99, command: "nginx" });
  tables.forget();
  const { problems } = await session.apply(contractPlan({ v6: false }), { changed: new Set() });
  expect(problems).toMatchObject([{ code: "NODE_PORT_TAKEN", text: expect.stringContaining("nginx (pid 99)") }]);
  expect(session.status().map(({ service, state }) => `${service} ${state}`)).toContain("default/web refused");
  expect(session.status().filter(({ state }) => state !== "in-force")).toHaveLength(1);
  expect(tables.dump()).not.toContain("--dport 30080 ");
  listeners.pop();
  expect((await session.apply(contractPlan({ v6: false }), { changed: new Set() })).problems).toEqual([]);
  // The kernel lists chains in the order in which they came.
  expect(tables.dump().split("\n").sort()).toEqual(before.split("\n").sort());
});

function dataPathOf(tables: MemoryTables): IptablesDataPath {
  return new IptablesDataPath({
    settings: { dialect: "kubernetes", dispatch: "linear" },
    machine: testMachine({ tables, variant: "nft" }),
  });
}

function manyServices(count: number): HostPlan {
  const services = Array.from({ length: count }, (_, index) => ({
    ...{
      name: `s${index}`,
      clusterIP: `10.96.0.${index}`,
      ports: [{ port: 80 }],
      endpoints: [`10.1.0.${index + 1}:80`],
    },
  }));
  const text = JSON.stringify({ hosts: [{ name: "one", address: "192.0.2.6" }], services: services.slice(1) });
  return planHost(parseTopology(new TextEncoder().encode(text), { file: "many.json" }).topology, { host: "one" });
}
