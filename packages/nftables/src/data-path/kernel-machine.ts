import {
  deleteConntrack,
  hostProblems,
  listConntrack,
  lostGuardProblem,
  type Machine,
  thisMachine,
} from "@svcproxy/host";
import { servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { coexistenceProblems } from "../coexistence/coexistence-problems.ts";
import { readForeignRules } from "../coexistence/read-foreign-rules.ts";
import { KernelTables } from "../nft/kernel-tables.ts";
import { isStale } from "../udp/stale-udp-flows.ts";
import { usesFamily } from "./draft-change.ts";
import type { NftMachine } from "./nft-machine.ts";
import { FAMILIES } from "./nftables-settings.ts";

/** How long one svcproxy waits for another that changes the same tables. */
const LOCK_WAIT_MS = 60_000;

/** This network namespace of this machine. */
export function kernelMachine(machine: Machine = thisMachine): NftMachine {
  return {
    async open({ signal, isExclusive, onWait }) {
      const deed = "has been changing the nftables tables of svcproxy in this network namespace";
      const lock = isExclusive
        ? await machine.lock({ name: "nftables", signal, waitMs: LOCK_WAIT_MS, deed, onWait })
        : undefined;
      const tables = new KernelTables({ run: machine.run, heldFd: lock?.fd });
      return {
        readListeners: () => machine.readListeners(),
        readHolders: (inodes) => machine.readHolders(inodes),
        requireSupport: (family, options) => tables.requireSupport(family, options),
        read: (family, options) => tables.read(family, options),
        commit: (changes) => tables.commit(changes),
        readUnremembered: (family, options) => tables.readUnremembered(family, options),
        async settleUdp(family, change) {
          // Not interrupted: who waits for an apply to end is told that all is done.
          const uninterrupted = new AbortController().signal;
          const own = new Set(machine.readAddresses().addresses.map(({ address }) => address));
          const flows = await listConntrack(machine, { protocol: "udp", family, signal: uninterrupted });
          const entries = flows.filter((flow) =>
            isStale(flow, { ...change, isHostAddress: (address) => own.has(address) }),
          );
          await deleteConntrack(machine, { entries, signal: uninterrupted });
          return entries.length;
        },
        lostGuard: (guard) => lostGuardProblem({ ...guard, machine }),
        async problemsWith(plan, options) {
          const families = FAMILIES.filter((family) => usesFamily(plan, family));
          if (families.length === 0) return [];
          const needs = { families, localhostNodePorts: servesNodePortsOnLocalhost(plan.node) };
          return [
            ...(await hostProblems(needs, options.signal, { machine })),
            ...coexistenceProblems(plan, await readForeignRules(machine, options)),
          ];
        },
        [Symbol.asyncDispose]: async () => lock?.[Symbol.asyncDispose](),
      };
    },
  };
}
