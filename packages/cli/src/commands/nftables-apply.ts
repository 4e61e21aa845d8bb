import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTablePlan, type NftablesPlanFlags } from "../flags/nftables-flags.ts";

interface ApplyFlags extends NftablesPlanFlags {
  readonly replace?: "iptables";
  readonly dryRun?: true;
  readonly json?: true;
}

/** `svcproxy nftables apply TOPOLOGY`: makes this host's tables equal to the plan. */
export function addNftablesApply(nftables: Command, run: RunCommand): void {
  addHelp(acceptTablePlan(nftables.command("apply")), {
    about: "make this host's nftables tables equal to the plan, by small changes",
    examples: [
      "sudo svcproxy nftables apply web.yaml --host web1",
      "sudo svcproxy nftables apply web.yaml --replace iptables",
      "sudo svcproxy nftables apply web.yaml --dry-run",
    ],
  })
    .addOption(
      new Option("--replace <path>", "remove our rules of another data path once this one serves").choices([
        "iptables",
      ]),
    )
    .option("--dry-run", "print what would be fed to nft, and change nothing")
    .option("--json", "print what was changed as JSON: tables, differences as `diff --json` has them")
    .action((files: string[], flags: ApplyFlags) =>
      run(async (context) => {
        const { applyTables, previewTables } = await import("../data-path/apply-tables.ts");
        return flags.dryRun === true ? previewTables(context, files, flags) : applyTables(context, files, flags);
      }),
    );
}
