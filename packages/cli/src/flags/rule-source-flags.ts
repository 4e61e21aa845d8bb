import type { Dialect, DispatchMode } from "@svcproxy/iptables";
import { type Command, Option } from "commander";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";
import { FOREIGN_HOST } from "./iptables-flags.ts";

/** Flags of the commands that judge rules without changing any. */
export interface RuleSourceFlags extends TopologyFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly dialect?: Dialect;
  readonly dispatch?: DispatchMode;
  readonly rules?: readonly string[];
  readonly live?: boolean;
  readonly hostState?: string;
}

/** Declares where rules, host and plan come from. */
export function acceptRuleSource(command: Command): Command {
  return acceptTopology(command)
    .option("--host <name>", "the host on which the packet is followed")
    .option(
      "--rules <file>",
      "rules as iptables-save or `nft list ruleset` (with -j or without) print them, - for stdin (repeatable: all count)",
      (file: string, before: readonly string[] = []) => [...before, file],
    )
    .option("--live", "rules of every program, addresses and routes of this machine")
    .option("--foreign-host", `with --live: ${FOREIGN_HOST}`)
    .option("--host-state <file>", "addresses, routes and sysctls as `svcproxy host-state` prints them, - for stdin")
    .addOption(
      new Option("--dialect <dialect>", "whose rules: the founding document's, or Kubernetes' own").choices([
        "document",
        "kubernetes",
      ]),
    )
    .addOption(
      new Option(
        "--dispatch <mode>",
        "how a connection finds its service: rule by rule, down a tree, or by size (default: as the rules say, else auto)",
      ).choices(["auto", "linear", "tree"]),
    );
}
