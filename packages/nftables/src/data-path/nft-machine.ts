import type { Machine } from "@svcproxy/host";
import type { Family, HostPlan, Problem } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import type { WrittenTable } from "../change/written-table.ts";
import type { NftTable } from "../table/nft-table.ts";
import type { UdpChange } from "../udp/stale-udp-flows.ts";

/** What the nftables data path asks of a machine: the kernel's, or one in memory. */
export interface NftMachine {
  /** @throws EnvironmentError LOCKED, INTERRUPTED */
  open(options: OpenOptions): Promise<OpenNftMachine>;
}

export interface OpenOptions extends Interruptible {
  /** Whether our tables will be changed, which only one svcproxy may do at a time. */
  readonly isExclusive: boolean;
  readonly onWait?: ((holder: number | undefined) => void) | undefined;
}

/** Our tables in a network namespace, and what is beside them. */
export interface OpenNftMachine extends AsyncDisposable, Pick<Machine, "readListeners" | "readHolders"> {
  /**
   * Makes sure that nft and the kernel can do all that a table of this family may hold.
   *
   * @throws EnvironmentError NFT_UNSUPPORTED, NFT_CRASHED, NEEDS_ROOT, MISSING_TOOL
   */
  requireSupport(family: Family, options: Interruptible): Promise<void>;
  /** Our table as the kernel has it; undefined: there is none. @throws EnvironmentError */
  read(family: Family, options: Interruptible): Promise<NftTable | undefined>;
  /**
   * Carries changes out, all of them or none. Nothing interrupts it.
   *
   * @throws NftRefused after which the kernel has what it had
   * @throws EnvironmentError NFT_CRASHED, NEEDS_ROOT
   */
  commit(changes: readonly TableChange[]): Promise<void>;
  /** Gives the elements of the set `lease` their whole time anew. @throws EnvironmentError */
  renewLease(families: readonly Family[]): Promise<void>;
  /**
   * Whether the kernel has what was just written: the elements that were touched, and all rules. Nothing interrupts it.
   *
   * @throws EnvironmentError
   */
  isAsWritten(written: WrittenTable): Promise<boolean>;
  /** Deletes the UDP flows of a family that a change leaves without an answer. @returns how many @throws EnvironmentError */
  settleUdp(family: Family, change: UdpChange): Promise<number>;
  /** How many new connections no affinity map of a family had room for, since the table was made. */
  readUnremembered(family: Family, options: Interruptible): Promise<number>;
  /** What is to be said where a table that kept neighbours off loopback no longer does. */
  lostGuard(guard: { readonly wasGuarded: boolean; readonly isGuarded: boolean }): Promise<Problem | undefined>;
  /** What of the machine, beside our tables, keeps a plan from working. */
  problemsWith(plan: HostPlan, options: ProblemOptions): Promise<readonly Problem[]>;
}

export interface ProblemOptions extends Interruptible {
  /** Whether our rules of iptables are none. */
  readonly replacesIptables?: boolean | undefined;
}

export interface Interruptible {
  readonly signal: AbortSignal;
}
