import { type Command, formatCommand, formatSave, parseCommands, type RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family } from "@svcproxy/topology";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { DesiredRules } from "../desired-rules.ts";
import { MemoryTables } from "./memory-tables.ts";
import { RestoreRefused } from "./rule-tables.ts";
import { TableBackend } from "./table-backend.ts";
import type { TableChange } from "./table-change.ts";
import { planOf, rulesOf } from "./testing/backend-contract.ts";

const { signal } = new AbortController();
const dual = () => rulesOf(planOf({ v6: true, endpoints: [] }));

/** Memory in which something happens to each change, by its 1-based number. */
class TroubledTables extends MemoryTables {
  restored = 0;
  readonly #trouble: (number: number, tables: TroubledTables) => Promise<void> | void;

  constructor(trouble: (number: number, tables: TroubledTables) => Promise<void> | void) {
    super();
    this.#trouble = trouble;
  }

  override async restore(change: TableChange): Promise<void> {
    this.restored += 1;
    await this.#trouble(this.restored, this);
    await super.restore(change);
  }

  async meddle(script: string, family: Family = 4): Promise<void> {
    for (const command of parseCommands(script, { family }))
      await super.restore({ family, table: command.table, commands: [command] });
  }
}

function refuse(): never {
  throw new RestoreRefused("NO_TABLE", "Cannot change table nat (IPv6): this kernel does not have the table");
}

test.for([1, 2, 3, 4])(
  "where change %i is refused, the host has its old rules, and the error says so",
  async (failing) => {
    const tables = new TroubledTables((number) => {
      if (number === failing) refuse();
    });
    await tables.meddle("iptables -t nat -A OUTPUT -j ACCEPT\niptables -A INPUT -j ACCEPT");
    const before = tables.dump();
    await expect(new TableBackend(tables).apply(dual(), { signal })).rejects.toMatchObject({
      code: "NO_TABLE",
      message: expect.stringMatching(/this kernel does not have the table; the host has its old rules( again)?$/),
    });
    expect(withoutEmptyTables(tables.dump())).toBe(withoutEmptyTables(before));
  },
);

test("what was typed by hand, and is ours by now, is put back too", async () => {
  const [desired] = rulesOf(planOf({}));
  if (desired === undefined) throw new Error("no rules");
  const tables = new TroubledTables((number) => {
    if (number === 2) refuse();
  });
  for (const command of handTyped(desired)) await tables.meddle(command);
  // A jump that is missing makes the built-in chains differ.
  await tables.meddle(
    "iptables -t nat -D OUTPUT -j KUBE-SERVICES\niptables -t nat -I POSTROUTING 2 -s 10.0.0.0/8 -j ACCEPT",
  );
  const before = tables.dump();
  await expect(new TableBackend(tables).apply(rulesOf(planOf({ v6: true })), { signal })).rejects.toMatchObject({
    message: expect.stringContaining("the host has its old rules again"),
  });
  expect(withoutEmptyTables(tables.dump())).toBe(withoutEmptyTables(before));
});

test("where putting back fails too, the error names each table that kept its new rules, and why", async () => {
  const tables = new TroubledTables((number) => {
    if (number >= 3) refuse();
  });
  await expect(new TableBackend(tables).apply(dual(), { signal })).rejects.toMatchObject({
    message: expect.stringMatching(
      /could not be put back: (nat|filter) \(IPv4\): .*does not have the table; (nat|filter) \(IPv4\): .*does not have/,
    ),
    hint: expect.stringContaining("diff"),
  });
});

test("one table that cannot be put back does not keep the others from it", async () => {
  class Stuck extends MemoryTables {
    #fed: string[] = [];
    override async restore(change: TableChange): Promise<void> {
      // The IPv6 tables never take anything; the IPv4 table that went in last does not take it back.
      if (change.family === 6 || (this.#fed.length === 2 && this.#fed[1] === change.table)) refuse();
      this.#fed.push(change.table);
      await super.restore(change);
    }
    get first(): string | undefined {
      return this.#fed[0];
    }
  }
  const tables = new Stuck();
  const failure = await new TableBackend(tables).apply(dual(), { signal }).catch((error: unknown) => error);
  expect(String(failure)).not.toContain(`${tables.first} (IPv4)`);
  const { tables: left } = await tables.save(4);
  const kept = left.filter(({ chains }) => chains.some(({ policy }) => policy === undefined)).map(({ name }) => name);
  expect(kept).toHaveLength(1);
  expect(kept).not.toContain(tables.first);
});

test("a new chain that somebody's rule jumps to meanwhile is put back to nothing but its name", async () => {
  const tables = new TroubledTables(async (number, troubled) => {
    if (number !== 2) return;
    await troubled.meddle("iptables -t nat -N THEIRS\niptables -t nat -A THEIRS -j KUBE-SERVICES");
    refuse();
  });
  await expect(new TableBackend(tables).apply(rulesOf(planOf({ v6: true })), { signal })).rejects.toMatchObject({
    message: expect.stringContaining("the host has its old rules again"),
  });
  expect(tables.dump().match(/^(:\S+ -|-A .*)/gm)).toEqual([
    ":KUBE-SERVICES -",
    ":THEIRS -",
    "-A THEIRS -j KUBE-SERVICES",
  ]);
});

test("KUBE-FIREWALL is shared with a kubelet: taken over where it is equal, and left to it in the end", async () => {
  const guard: DesiredRules = {
    family: 4,
    tables: [
      { name: "filter", chains: [{ name: "KUBE-FIREWALL", rules: [{ matches: [], target: { kind: "drop" } }] }] },
    ],
    hooks: [
      {
        ...{ table: "filter", chain: "INPUT", placement: "first" },
        rule: { matches: [], target: { kind: "jump", chain: "KUBE-FIREWALL" } },
      },
    ],
  };
  const tables = new TroubledTables(() => {});
  for (const command of handTyped(guard)) await tables.meddle(command);
  await tables.meddle("iptables -N KUBE-KUBELET-CANARY");
  const before = tables.dump();
  const backend = new TableBackend(tables);
  await backend.apply([guard], { signal });
  expect((await backend.apply([guard], { signal })).changes).toEqual([]);
  await backend.apply([], { signal });
  expect(tables.dump()).toBe(before);
});

test("a change that met another program's is planned anew", async () => {
  const tables = new TroubledTables(async (number, troubled) => {
    if (number === 2) await troubled.meddle("iptables -t nat -D OUTPUT -j KUBE-SERVICES");
  });
  const backend = new TableBackend(tables);
  await backend.apply(rulesOf(planOf({})), { signal });
  // The plan without this service deletes the jump that somebody deletes just before.
  await backend.apply([], { signal });
  expect(withoutEmptyTables(tables.dump())).toBe("");
});

test("what another program undoes is done again", async () => {
  const tables = new TroubledTables(async (number, troubled) => {
    if (number === 2) await troubled.meddle("iptables -t filter -F KUBE-SERVICES");
  });
  const backend = new TableBackend(tables);
  await backend.apply(rulesOf(planOf({ endpoints: [] })), { signal });
  expect((await backend.compare(rulesOf(planOf({ endpoints: [] })), { signal })).changes).toEqual([]);
});

test("a program that undoes each change is told of in the end", async () => {
  class Hostile extends MemoryTables {
    override async save(family: Family): Promise<RuleSet> {
      await super.restore({ family: 4, table: "nat", commands: parseCommands("iptables -t nat -F OUTPUT") });
      return super.save(family);
    }
  }
  const tables = new Hostile();
  await expect(new TableBackend(tables).apply(rulesOf(planOf({})), { signal })).rejects.toMatchObject({
    code: "RULES_KEEP_CHANGING",
    message: expect.stringContaining("nat (IPv4)"),
  });
}, 20_000);

test("any walk of plans, with others at the rules meanwhile, ends where a fresh start would", {
  timeout: 300_000,
}, async () => {
  const anyPlan = fc.record({
    address: fc.constantFrom("192.168.1.6", "192.168.1.7"),
    endpoints: fc.subarray(["a", "b"]),
    v6: fc.boolean(),
  });
  const anyMeddling = fc.constantFrom(
    "iptables -t nat -A OUTPUT -j ACCEPT",
    "iptables -t nat -I OUTPUT 1 -p udp -j ACCEPT",
    "iptables -t nat -I POSTROUTING 1 -s 10.0.0.0/8 -j MASQUERADE",
    "iptables -t nat -I POSTROUTING 1 -s 192.168.1.6 -j MASQUERADE",
    "iptables -t nat -F KUBE-SERVICES",
    "iptables -t nat -F OUTPUT",
    "iptables -t nat -A PREROUTING -j KUBE-SERVICES",
  );
  const step = fc.record({ plan: anyPlan, meddling: fc.option(anyMeddling) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 6 }), anyPlan, async (walk, last) => {
      const tables = new TroubledTables(() => {});
      const backend = new TableBackend(tables);
      for (const { plan, meddling } of walk) {
        await backend.apply(rulesOf(planOf(plan)), { signal });
        if (meddling !== null) await tables.meddle(meddling);
      }
      const foreign = foreignLines(tables);
      await backend.apply(rulesOf(planOf(last)), { signal });
      expect(foreignLines(tables)).toEqual(foreign);
      expect((await backend.apply(rulesOf(planOf(last)), { signal })).changes).toEqual([]);
      const fresh = new TableBackend(new MemoryTables());
      await fresh.apply(rulesOf(planOf(last)), { signal });
      expect(await ownLines(backend)).toEqual(await ownLines(fresh));
      await backend.apply([], { signal });
      expect(tables.dump()).not.toMatch(/KUBE|SVCPROXY/);
    }),
    { numRuns: 40 },
  );
});

/** Rules that can only be somebody else's. */
function foreignLines(tables: MemoryTables): readonly string[] {
  return tables
    .dump()
    .split("\n")
    .filter((line) => line.startsWith("-A") && !/KUBE|-s 192\.168|-s fd00:1/.test(line));
}

/** Our rules as lines, without the order in which chains were made. */
async function ownLines(backend: TableBackend): Promise<readonly string[]> {
  const own = await backend.read({ signal });
  return own.flatMap(({ family, tables }) => {
    const sorted = tables.toSorted((a, b) => a.name.localeCompare(b.name));
    const lines = formatSave({ family, tables: sorted }).split("\n");
    return [
      ...lines.filter((line) => line.startsWith(":KUBE")).sort(),
      ...lines.filter((line) => line.startsWith("-A KUBE")).sort(),
      ...lines.filter((line) => /^-A (?!KUBE)/.test(line)),
    ];
  });
}

test("an interrupted run puts back what went in", async () => {
  const abort = new AbortController();
  const tables = new TroubledTables((number) => {
    if (number === 1) abort.abort();
  });
  await expect(new TableBackend(tables).apply(dual(), { signal: abort.signal })).rejects.toMatchObject({
    code: "INTERRUPTED",
    message: "Interrupted; the host has its old rules again",
  });
  expect(withoutEmptyTables(tables.dump())).toBe("");
});

test("a change that went in although its program was stopped is put back too", async () => {
  class Stopped extends MemoryTables {
    #restored = 0;
    override async restore(change: TableChange): Promise<void> {
      await super.restore(change);
      this.#restored += 1;
      if (this.#restored === 2) throw new EnvironmentError("TOOL_FAILED", "iptables-restore was stopped");
    }
  }
  const tables = new Stopped();
  await expect(new TableBackend(tables).apply(dual(), { signal })).rejects.toMatchObject({
    code: "TOOL_FAILED",
    message: "iptables-restore was stopped; the host has its old rules again",
  });
  expect(withoutEmptyTables(tables.dump())).toBe("");
});

/** The commands that make these rules on an empty host. */
function handTyped({ tables, hooks, family }: DesiredRules): readonly string[] {
  const all: Command[] = [
    ...tables.flatMap(({ name: table, chains }) =>
      chains.map(({ name }): Command => ({ kind: "newChain", table, chain: name })),
    ),
    ...tables.flatMap(({ name: table, chains }) =>
      chains.flatMap(({ name: chain, rules }) =>
        rules.map((rule): Command => ({ kind: "append", table, chain, rule })),
      ),
    ),
    ...hooks.map(
      ({ table, chain, rule, placement }): Command =>
        placement === "first"
          ? { kind: "insert", table, chain, position: 1, rule }
          : { kind: "append", table, chain, rule },
    ),
  ];
  return all.map((command) => formatCommand(command, { family }));
}

function withoutEmptyTables(dump: string): string {
  return dump
    .split(/(?<=^COMMIT\n)/m)
    .filter((table) => /^(-A|:\S+ -)/m.test(table))
    .join("");
}
