import type { Dialect, DispatchMode, Variant } from "@svcproxy/iptables";
import { parsePort } from "@svcproxy/topology";
import { type Command, InvalidArgumentError, Option } from "commander";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";

/** Flags of every command that looks at this host's own rules. */
export interface VariantFlags {
  readonly variant?: Variant;
}

/** Flags of those that hold them against a plan. */
export interface HostPlanFlags extends VariantFlags, TopologyFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly dialect?: Dialect;
  readonly dispatch?: DispatchMode;
  readonly family?: FamilyFlag;
  readonly takePort?: readonly number[];
}

/** What `--foreign-host` is for. */
export const FOREIGN_HOST = "take that host for this machine although none of its addresses is here";

export type FamilyFlag = "4" | "6" | "all";

function acceptVariant(command: Command): Command {
  return command.addOption(
    new Option("--variant <variant>", "which iptables (default: where rules already live)").choices(["nft", "legacy"]),
  );
}

/** A topology, this host in it, and how its rules are written. */
export function acceptHostRules(command: Command): Command {
  return acceptVariant(
    acceptTopology(command)
      .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
      .option("--foreign-host", FOREIGN_HOST)
      .addOption(
        new Option(
          "--dialect <dialect>",
          "whose rules: the founding document's, or Kubernetes' own (default: as the rules that are here)",
        ).choices(["document", "kubernetes"]),
      )
      .addOption(
        new Option(
          "--dispatch <mode>",
          "how a connection finds its service: rule by rule, down a tree, or by size (default: as the rules that are here, else auto)",
        ).choices(["auto", "linear", "tree"]),
      ),
  );
}

export function acceptHostPlan(command: Command): Command {
  return acceptTakenPorts(acceptHostRules(command)).addOption(
    new Option("--family <family>", "look at IPv4 or IPv6 only (default: both)").choices(["4", "6", "all"]),
  );
}

export function acceptTakenPorts(command: Command): Command {
  return command.option(
    "--take-port <n>",
    "serve this NodePort although a program of this host listens on it (repeatable)",
    (text: string, before: readonly number[] = []) => [...before, parseTakenPort(text)],
  );
}

function parseTakenPort(text: string): number {
  const port = /^\d+$/.test(text) ? parsePort(Number(text)) : undefined;
  if (port === undefined) throw new InvalidArgumentError("Not a port from 1 to 65535.");
  return port;
}
