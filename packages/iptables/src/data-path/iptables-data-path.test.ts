import { type DataPathHost, describeDataPath } from "@svcproxy/host/testing";
import { formatSave, parseCommands } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import { MemoryTables } from "../kernel/memory-tables.ts";
import { RestoreRefused } from "../kernel/rule-tables.ts";
import { formatChange, type TableChange } from "../kernel/table-change.ts";
import { normalizeDump } from "../kernel/testing/kernel-host.ts";
import type { IptablesSettings } from "./iptables-settings.ts";
import { Refusal, ruleHost } from "./testing/rule-host.ts";

for (const dialect of ["document", "kubernetes"] as const) {
  for (const dispatch of ["linear", "tree"] as const) {
    const name = `iptables in memory, ${dialect} dialect, dispatch ${dispatch}`;
    describeDataPath(name, async () => createMemoryHost({ dialect, dispatch }), { walks: 20 });
  }
}

/** Rules in memory that may refuse what names an address, as the kernel's tools do. */
class RefusingTables extends MemoryTables {
  readonly refusal = new Refusal();

  override async restore(change: TableChange): Promise<void> {
    const doing = `Cannot change table ${change.table} (IPv${change.family})`;
    const refusedLine = formatChange(change)
      .split("\n")
      .find((line) => this.refusal.refuses(line));
    if (this.refusal.what === "everything") throw new RestoreRefused("NEEDS_ROOT", `${doing}: this needs root`);
    if (refusedLine !== undefined)
      throw new RestoreRefused("RESTORE_REFUSED", `${doing}: it was refused (that is: ${refusedLine})`, {
        refusedLine,
      });
    await super.restore(change);
  }

  /** What somebody else does. */
  async run(script: string): Promise<void> {
    for (const family of [4, 6] as const) {
      for (const command of parseCommands(linesOf(script, family), { family }))
        await super.restore({ family, table: command.table, commands: [command] });
    }
  }
}

function linesOf(script: string, family: Family): string {
  const tool = family === 4 ? "iptables " : "ip6tables ";
  return script
    .split("\n")
    .filter((line) => line.startsWith(tool))
    .join("\n");
}

function createMemoryHost(settings: IptablesSettings): DataPathHost {
  const tables = new RefusingTables();
  return ruleHost({
    ...{ tables, variant: "nft", settings, refusal: tables.refusal },
    run: (script) => tables.run(script),
    dump: () =>
      Promise.all(([4, 6] as const).map(async (family) => normalizeDump(formatSave(await tables.save(family))))),
    async [Symbol.asyncDispose]() {},
  });
}
