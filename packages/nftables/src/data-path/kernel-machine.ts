import {
  deleteConntrack,
  hostProblems,
  listConntrack,
  lostGuardProblem,
  type Machine,
  ownEndpoints,
  readHostStateJson,
  thisMachine,
} from "@svcproxy/host";
import { type HostState, readHostState } from "@svcproxy/rules";
import { SvcproxyError, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { coexistenceProblems } from "../coexistence/coexistence-problems.ts";
import { readForeignRules } from "../coexistence/read-foreign-rules.ts";
import { hasRules, rulesInTheWay } from "../coexistence/rules-in-the-way.ts";
import { keepNft } from "../nft/kept-nft.ts";
import { CHECK_FLAGS, KernelTables } from "../nft/kernel-tables.ts";
import { isStale } from "../udp/stale-udp-flows.ts";
import { usesFamily } from "./draft-change.ts";
import type { Interruptible, NftMachine } from "./nft-machine.ts";
import { FAMILIES } from "./nftables-settings.ts";

/** How long one svcproxy waits for another that changes the same tables. */
const LOCK_WAIT_MS = 60_000;

/** @returns undefined where it cannot be seen: nobody is to fail because of it @throws EnvironmentError INTERRUPTED */
async function seeHost(
  machine: Pick<Machine, "run" | "readSysctl" | "readRecentLists">,
  options: Interruptible,
): Promise<HostState | undefined> {
  try {
    return readHostState(await readHostStateJson(machine, options), { file: "this host" });
  } catch (error) {
    if (!(error instanceof SvcproxyError) || error.code === "INTERRUPTED") throw error;
    return undefined;
  }
}

/** This network namespace of this machine. */
export function kernelMachine(machine: Machine = thisMachine): NftMachine {
  return {
    async open({ signal, isExclusive, onWait }) {
      const deed = "has been changing the nftables tables of svcproxy in this network namespace";
      const lock = isExclusive
        ? await machine.lock({ name: "nftables", signal, waitMs: LOCK_WAIT_MS, deed, onWait })
        : undefined;
      // Who keeps 10,000 services in mind is large, and tools are many.
      const tools = machine.startTools({ heldFd: lock?.fd });
      const { run } = tools;
      const doors = {
        run,
        hasTool: (tool: string) => machine.hasTool(tool),
        readSysctl: (name: string) => machine.readSysctl(name),
        readRecentLists: () => machine.readRecentLists(),
      };
      const [writer, reader] = [keepNft(tools), keepNft(tools, { flags: CHECK_FLAGS })];
      const kept = writer === undefined || reader === undefined ? undefined : { writer, reader };
      const tables = new KernelTables({ run, kept });
      return {
        readListeners: () => machine.readListeners(),
        readHolders: (inodes) => machine.readHolders(inodes),
        requireSupport: (family, options) => tables.requireSupport(family, options),
        read: (family, options) => tables.read(family, options),
        commit: (changes) => tables.commit(changes),
        isAsWritten: (written) => tables.isAsWritten(written),
        renewLease: (families) => tables.renewLease(families),
        readUnremembered: (family, options) => tables.readUnremembered(family, options),
        async settleUdp(family, change) {
          // Not interrupted: who waits for an apply to end is told that all is done.
          const uninterrupted = new AbortController().signal;
          const own = new Set(machine.readAddresses().addresses.map(({ address }) => address));
          const flows = await listConntrack(doors, { protocol: "udp", family, signal: uninterrupted });
          const entries = flows.filter((flow) =>
            isStale(flow, { ...change, isHostAddress: (address) => own.has(address) }),
          );
          await deleteConntrack(doors, { entries, signal: uninterrupted });
          return entries.length;
        },
        lostGuard: (guard) => lostGuardProblem({ ...guard, machine: doors }),
        async problemsWith(plan, options) {
          const families = FAMILIES.filter((family) => usesFamily(plan, family));
          if (families.length === 0) return [];
          const needs = { families, localhostNodePorts: servesNodePortsOnLocalhost(plan.node) };
          const readsTranslations = FAMILIES.some((family) => ownEndpoints(plan, family).length > 0);
          const found = await readForeignRules(doors, { ...options, readsTranslations });
          const foreign = options.replacesIptables === true ? { ...found, ownRules: [] } : found;
          const known = coexistenceProblems(plan, foreign);
          const hostState = hasRules(foreign) ? await seeHost(doors, options) : undefined;
          return [
            ...(await hostProblems(needs, options.signal, { machine: doors })),
            ...known,
            ...(hostState === undefined ? [] : rulesInTheWay(plan, { foreign, hostState, known })),
          ];
        },
        async [Symbol.asyncDispose]() {
          await Promise.all([writer?.[Symbol.asyncDispose](), reader?.[Symbol.asyncDispose]()]);
          await tools[Symbol.asyncDispose]();
          await lock?.[Symbol.asyncDispose]();
        },
      };
    },
  };
}
