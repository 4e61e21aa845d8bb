import {
  hostProblems,
  lockNamespace,
  lostGuardProblem,
  type NamespaceLock,
  readAddresses,
  runTool,
} from "@svcproxy/host";
import { servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { KernelTables } from "../nft/kernel-tables.ts";
import { deleteConntrack, listConntrack } from "../udp/conntrack.ts";
import { isStale } from "../udp/stale-udp-flows.ts";
import { usesFamily } from "./draft-change.ts";
import type { NftMachine, OpenNftMachine } from "./nft-machine.ts";
import { FAMILIES } from "./nftables-settings.ts";

/** How long one svcproxy waits for another that changes the same tables. */
const LOCK_WAIT_MS = 60_000;

/** This network namespace of this machine. */
export function kernelMachine(): NftMachine {
  return {
    async open({ signal, isExclusive, onWait }) {
      if (!isExclusive) return openMachine(undefined);
      const deed = "has been changing the nftables tables of svcproxy in this network namespace";
      return openMachine(await lockNamespace({ name: "nftables", signal, waitMs: LOCK_WAIT_MS, deed, onWait }));
    },
  };
}

function openMachine(lock: NamespaceLock | undefined): OpenNftMachine {
  const tables = new KernelTables({ heldFd: lock?.fd });
  return {
    requireSupport: (family, options) => tables.requireSupport(family, options),
    read: (family, options) => tables.read(family, options),
    commit: (changes) => tables.commit(changes),
    readUnremembered: (family, options) => tables.readUnremembered(family, options),
    async settleUdp(family, change) {
      // Not interrupted: who waits for an apply to end is told that all is done.
      const { signal } = new AbortController();
      const machine = { run: runTool };
      const own = new Set(readAddresses().addresses.map(({ address }) => address));
      const isHostAddress = (address: Parameters<typeof own.has>[0]) => own.has(address);
      const flows = await listConntrack(machine, { protocol: "udp", family, signal });
      const entries = flows.filter((flow) => isStale(flow, { ...change, isHostAddress }));
      await deleteConntrack(machine, { entries, signal });
      return entries.length;
    },
    lostGuard: lostGuardProblem,
    problemsWith(plan, { signal }) {
      const families = FAMILIES.filter((family) => usesFamily(plan, family));
      return hostProblems({ families, localhostNodePorts: servesNodePortsOnLocalhost(plan.node) }, signal);
    },
    [Symbol.asyncDispose]: async () => lock?.[Symbol.asyncDispose](),
  };
}
