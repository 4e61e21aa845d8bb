import { type Command, InvalidArgumentError, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { FOREIGN_HOST } from "../flags/iptables-flags.ts";
import { acceptTopology } from "../source/topology-input.ts";
import type { ViewFlags } from "../view/run-view.ts";

/** `svcproxy view`: services, rules and packets as a page in the browser. */
export function addView(program: Command, run: RunCommand): void {
  addHelp(acceptTopology(program.command("view")), {
    about: "show services, rules and a packet's way in the browser",
    notes: [
      "The page is served on 127.0.0.1, behind a link with a token, until Ctrl-C. It follows what it shows: files, this machine (--live), or the running agent. -o writes one file that shows the same by itself, offline.",
    ],
    examples: [
      "svcproxy view web.yaml --host web1",
      "svcproxy view --agent",
      "svcproxy view web.yaml --snapshot web1.json web2.json -o page.html",
    ],
  })
    .option("--host <name>", "the host whose rules are shown (default: each of the topology, up to 4)")
    .option(
      "--rules <file>",
      "rules as iptables-save or `nft list ruleset` print them (repeatable: all count)",
      collect,
    )
    .option("--live", "rules, addresses and routes of this machine, as root")
    .option("--foreign-host", `with --live: ${FOREIGN_HOST}`)
    .option("--agent", "what the running agent (svcproxy run) keeps")
    .option("--snapshot <file>", "a host as svcproxy host-state --snapshot wrote it (several: side by side)", collect)
    .addOption(
      new Option("--data-path <name>", "whose rules are shown where none are given").choices(["nftables", "iptables"]),
    )
    .option("--port <port>", "serve the page on this port (default: a free one)", parsePort)
    .option("-o, --output <file>", "write the page into a file instead, - for stdout")
    .action((files: string[], flags: ViewFlags) =>
      run(async (context) => {
        const { runView } = await import("../view/run-view.ts");
        return runView(context, files, flags);
      }),
    );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError("Give a port from 0 to 65535.");
  return port;
}
