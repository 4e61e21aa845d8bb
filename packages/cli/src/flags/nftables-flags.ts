import type { Family } from "@svcproxy/topology";
import { type Command, Option } from "commander";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";
import { acceptTakenPorts, FOREIGN_HOST } from "./iptables-flags.ts";

/** Flags of the commands that hold this host's tables against a plan. */
export interface NftablesPlanFlags extends TopologyFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly family?: FamilyFlag;
  readonly takePort?: readonly number[];
  readonly trafficCounters?: true;
}

export type FamilyFlag = "4" | "6" | "all";

export function acceptFamily(command: Command, about: string): Command {
  return command.addOption(new Option("--family <family>", about).choices(["4", "6", "all"]));
}

export function acceptTablePlan(command: Command): Command {
  return acceptFamily(
    acceptTakenPorts(
      acceptTopology(command)
        .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
        .option("--foreign-host", FOREIGN_HOST),
    ),
    "look at IPv4 or IPv6 only (default: both)",
  ).option("--traffic-counters", "count each service's packets and bytes, with rules for every packet");
}

/** @returns undefined where nothing is said */
export function familiesOf(flag: FamilyFlag | undefined): readonly Family[] | undefined {
  if (flag === undefined) return undefined;
  return flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}
