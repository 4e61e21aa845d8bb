import process from "node:process";
import { type DataPath, type DataPathName, type Machine, requireNetAdmin, VIP_DEVICE } from "@svcproxy/host";
import { type Dialect, IptablesDataPath, iptablesMachine } from "@svcproxy/iptables";
import { NftablesDataPath, nftMachine } from "@svcproxy/nftables";
import { EnvironmentError } from "@svcproxy/topology";
import { DEFAULT_PROXY_OPTIONS, UserspaceDataPath, type UserspaceSurroundings } from "@svcproxy/userspace";
import type { Logger } from "pino";

export interface ChooseOptions {
  /** See `NftablesSettings`. */
  readonly countsTraffic: boolean;
  readonly wanted: DataPathName | "auto";
  /** How rules of iptables are written where none of ours say it; asked when the first are. */
  readonly dialect: () => Dialect;
  /** NodePorts that rules serve although a program of this host listens on them. */
  readonly takePorts: ReadonlySet<number>;
  readonly machine: Machine;
  /** Whether the listeners of a userspace proxy that runs here are taken over. */
  readonly takesOver: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly userspace: Pick<UserspaceSurroundings, "workerProgram" | "status" | "onTakenOver">;
}

export interface ChosenDataPath {
  readonly dataPath: KeptDataPath;
  /** Why not a better one, a sentence each. */
  readonly passedOver: readonly string[];
  /** Better ones that this machine could not do at the start, each with a look whether it can by now; what it lacks is thrown. */
  readonly missed: readonly { readonly name: DataPathName; readonly probe: () => Promise<void> }[];
  /** A better one that it can do by now. */
  better?: DataPathName;
  /** The ones that are not used, and that may have something of ours from before. */
  readonly others: readonly KeptDataPath[];
}

/** What an agent needs of a data path. */
export interface KeptDataPath extends DataPath {
  cleanup(options: { readonly signal: AbortSignal; readonly handsOver?: boolean }): ReturnType<DataPath["cleanup"]>;
}

/** The best first. */
const BY_WORTH: readonly DataPathName[] = ["nftables", "iptables", "userspace"];

/**
 * The data path to serve by: the one that is wanted, else the best one that this machine can do, which is tried without changing anything.
 *
 * @throws EnvironmentError NEEDS_ROOT; what the wanted one lacks
 */
export async function chooseDataPath(options: ChooseOptions): Promise<ChosenDataPath> {
  const { wanted, logger } = options;
  const all = openAll(options);
  const others = (name: DataPathName) => BY_WORTH.filter((other) => other !== name).map((other) => all[other]);
  if (wanted !== "auto") {
    await probe(wanted, all, options);
    return { dataPath: all[wanted], passedOver: [], missed: [], others: others(wanted) };
  }
  const passedOver: string[] = [];
  for (const name of BY_WORTH) {
    try {
      await probe(name, all, options);
      const why = passedOver.length === 0 ? "the best one, and this host can do it" : passedOver.join("; ");
      logger.info({ dataPath: name }, `data path ${name}: ${why}`);
      const missed = BY_WORTH.slice(0, BY_WORTH.indexOf(name)).map((better) => ({
        ...{ name: better, probe: () => probe(better, all, options) },
      }));
      return { dataPath: all[name], passedOver, missed, others: others(name) };
    } catch (error) {
      if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
      passedOver.push(`not ${name}: ${error.message}`);
    }
  }
  throw new EnvironmentError("NO_DATA_PATH", `This host can do none of the data paths: ${passedOver.join("; ")}`, {
    hint: "Run it as root, with nft or iptables installed",
  });
}

interface AllDataPaths {
  readonly nftables: NftablesDataPath;
  readonly iptables: IptablesDataPath;
  readonly userspace: UserspaceDataPath;
}

function openAll({
  takesOver,
  machine,
  logger,
  dialect,
  takePorts,
  countsTraffic,
  userspace,
}: ChooseOptions): AllDataPaths {
  const onWait = (holder: number | undefined) => {
    // One of these data paths waits for another of them: nobody else is in the way.
    if (holder === process.pid) return;
    logger.info({ holder }, `waiting for another svcproxy${holder === undefined ? "" : ` (pid ${holder})`} to be done`);
  };
  return {
    nftables: new NftablesDataPath({
      settings: { takePorts, replacesIptables: true, countsTraffic, isLeased: true },
      machine: nftMachine(machine),
      onWait,
    }),
    iptables: new IptablesDataPath({
      settings: {
        takePorts,
        get defaultDialect() {
          return dialect();
        },
      },
      machine: iptablesMachine(machine),
      onWait,
    }),
    userspace: new UserspaceDataPath(
      {
        proxy: DEFAULT_PROXY_OPTIONS,
        instance: { takeOver: takesOver },
        vipDevice: VIP_DEVICE,
        vipRanges: [],
        vipIsolation: "auto",
        requireAll: false,
      },
      { ...userspace, machine, logger },
    ),
  };
}

/** @throws EnvironmentError where this machine cannot do it */
async function probe(name: DataPathName, all: AllDataPaths, { machine, signal }: ChooseOptions): Promise<void> {
  switch (name) {
    case "nftables":
      await requireNetAdmin(machine);
      return all.nftables.requireSupport(4, { signal });
    case "iptables":
      return all.iptables.requireSupport({ signal });
    case "userspace":
      return;
  }
}
