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
import {
  type Family,
  type HostPlan,
  type Problem,
  SvcproxyError,
  servesNodePortsOnLocalhost,
} from "@svcproxy/topology";
import { coexistenceProblems } from "../coexistence/coexistence-problems.ts";
import { readForeignRules } from "../coexistence/read-foreign-rules.ts";
import { hasRules, rulesInTheWay } from "../coexistence/rules-in-the-way.ts";
import { keepNft } from "../nft/kept-nft.ts";
import { CHECK_FLAGS, KernelTables } from "../nft/kernel-tables.ts";
import { isStale } from "../udp/stale-udp-flows.ts";
import { usesFamily } from "./draft-change.ts";
import type { Interruptible, NftMachine, ProblemOptions } from "./nft-machine.ts";
import { FAMILIES } from "./nftables-settings.ts";

/** How long one svcproxy waits for another that changes the same tables. */
const LOCK_WAIT_MS = 60_000;

/** The machine, whose tools are run by a shell that is kept. */
type AskedMachine = Pick<Machine, "run" | "hasTool" | "readSysctl" | "readRecentLists">;

/** @returns undefined where it cannot be seen: nobody is to fail because of it @throws EnvironmentError INTERRUPTED */
async function seeHost(machine: AskedMachine, options: Interruptible): Promise<HostState | undefined> {
  try {
    return readHostState(await readHostStateJson(machine, options), { file: "this host" });
  } catch (error) {
    if (!(error instanceof SvcproxyError) || error.code === "INTERRUPTED") throw error;
    return undefined;
  }
}

/** This network namespace of this machine. */
export function kernelMachine(machine: Machine = thisMachine): NftMachine {
  /** Families that nft and the kernel can do, as somebody found who looked here before. */
  const supported = new Set<Family>();
  return {
    async open({ signal, isExclusive, onWait }) {
      const deed = "has been changing the nftables tables of svcproxy in this network namespace";
      const lock = isExclusive
        ? await machine.lock({ name: "nftables", signal, waitMs: LOCK_WAIT_MS, deed, onWait })
        : undefined;
      // Who keeps 10,000 services in mind is large, and tools are many.
      const tools = machine.startTools({ heldFd: lock?.fd });
      const { run } = tools;
      const asked: AskedMachine = {
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
        async requireSupport(family, options) {
          // Only who is to know how it stands now looks again.
          if (isExclusive && supported.has(family)) return;
          await tables.requireSupport(family, options);
          supported.add(family);
        },
        read: (family, options) => tables.read(family, options),
        commit: (changes) => tables.commit(changes),
        isAsWritten: (written) => tables.isAsWritten(written),
        renewLease: (families) => tables.renewLease(families),
        readUnremembered: (family, options) => tables.readUnremembered(family, options),
        settleUdp: (family, change) => {
          const own = new Set(machine.readAddresses().addresses.map(({ address }) => address));
          return settleUdp(asked, { family, ...change, isHostAddress: (address) => own.has(address) });
        },
        lostGuard: (guard) => lostGuardProblem({ ...guard, machine: asked }),
        problemsWith: (plan, options) => problemsWith(asked, plan, options),
        async [Symbol.asyncDispose]() {
          await Promise.all([writer?.[Symbol.asyncDispose](), reader?.[Symbol.asyncDispose]()]);
          await tools[Symbol.asyncDispose]();
          await lock?.[Symbol.asyncDispose]();
        },
      };
    },
  };
}

/** @returns how many flows were deleted @throws EnvironmentError */
async function settleUdp(
  machine: AskedMachine,
  { family, ...change }: Parameters<typeof isStale>[1] & { readonly family: Family },
): Promise<number> {
  // Not interrupted: who waits for an apply to end is told that all is done.
  const { signal } = new AbortController();
  const flows = await listConntrack(machine, { protocol: "udp", family, signal });
  const entries = flows.filter((flow) => isStale(flow, change));
  await deleteConntrack(machine, { entries, signal });
  return entries.length;
}

/** What others' rules and settings of the host do to packets of the plan. */
async function problemsWith(
  machine: AskedMachine,
  plan: HostPlan,
  options: ProblemOptions,
): Promise<readonly Problem[]> {
  const families = FAMILIES.filter((family) => usesFamily(plan, family));
  if (families.length === 0) return [];
  const needs = { families, localhostNodePorts: servesNodePortsOnLocalhost(plan.node) };
  const readsTranslations = FAMILIES.some((family) => ownEndpoints(plan, family).length > 0);
  const found = await readForeignRules(machine, { ...options, readsTranslations });
  const foreign = options.replacesIptables === true ? { ...found, ownRules: [] } : found;
  const known = coexistenceProblems(plan, foreign);
  const hostState = hasRules(foreign) ? await seeHost(machine, options) : undefined;
  return [
    ...(await hostProblems(needs, options.signal, { machine })),
    ...known,
    ...(hostState === undefined ? [] : rulesInTheWay(plan, { foreign, hostState, known })),
  ];
}
