import type { Family } from "@svcproxy/topology";
import type { Dialect } from "./dialect.ts";
import type { DispatchMode } from "./dispatch/dispatch-mode.ts";

export interface CompileOptions {
  readonly dialect: Dialect;
  readonly family: Family;
  /** How frontends and endpoints are found; `auto` by default. */
  readonly dispatch?: DispatchMode;
  /**
   * Whether masqueraded connections get random source ports: only in the `kubernetes` dialect, and by default there.
   * False where the host's iptables does not know `--random-fully`.
   */
  readonly randomFully?: boolean;
  /**
   * Whether packets that conntrack calls INVALID are dropped: only in the `kubernetes` dialect, and by default there.
   * False where `net.netfilter.nf_conntrack_tcp_be_liberal` is on.
   */
  readonly dropInvalid?: boolean;
}
