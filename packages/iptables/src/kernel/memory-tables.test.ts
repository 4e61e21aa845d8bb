import { applyCommands, parseCommands } from "@svcproxy/rules";
import { expect, test } from "vitest";
import { MemoryBackend, MemoryTables } from "./memory-tables.ts";
import { type BackendHost, describeBackend } from "./testing/backend-contract.ts";
import { normalizeDump } from "./testing/kernel-host.ts";

describeBackend("rules in memory", async (): Promise<BackendHost> => {
  const tables = new MemoryTables();
  const backend = new MemoryBackend(tables);
  return {
    backend,
    async run(script) {
      for (const family of [4, 6] as const) {
        for (const command of parseCommands(script, { family })) {
          await tables.restore({ family, table: command.table, commands: [command] });
        }
      }
    },
    dump: async () => normalizeDump(backend.dump()),
    async [Symbol.asyncDispose]() {},
  };
});

test.for([
  { name: "a jump to a missing chain", command: "iptables -t nat -A OUTPUT -j NOWHERE" },
  { name: "a chain name of 29 characters", command: "iptables -t nat -N A2345678901234567890123456789" },
  { name: "a chain that exists", command: "iptables -t nat -N HERE" },
  { name: "to delete a chain that is jumped to", command: "iptables -t nat -X HERE" },
  { name: "to delete a rule that is not there", command: "iptables -t nat -D OUTPUT -j ACCEPT" },
  { name: "to insert behind the end", command: "iptables -t nat -I PREROUTING 2 -j ACCEPT" },
  { name: "a loop", command: "iptables -t nat -A HERE -j HERE" },
  { name: "DNAT in the filter table", command: "iptables -A INPUT -j DNAT --to-destination 10.1.1.1" },
  { name: "MASQUERADE before routing", command: "iptables -t nat -A PREROUTING -j MASQUERADE" },
  { name: "MASQUERADE in a chain that OUTPUT jumps to", command: "iptables -t nat -A HERE -j MASQUERADE" },
  { name: "REJECT in the nat table", command: "iptables -t nat -A HERE -j REJECT" },
])("memory refuses, as the kernel does, $name", async ({ command }) => {
  const tables = new MemoryTables([
    applyCommands(
      { family: 4, tables: [] },
      parseCommands("iptables -t nat -N HERE\niptables -t nat -A OUTPUT -j HERE"),
    ),
  ]);
  const before = tables.dump();
  const [first] = parseCommands(command);
  if (first === undefined) throw new Error("no command");
  await expect(tables.restore({ family: 4, table: first.table, commands: [first] })).rejects.toMatchObject({
    code: "RESTORE_REFUSED",
  });
  expect(tables.dump()).toBe(before);
});
