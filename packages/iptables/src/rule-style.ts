import type { Family } from "@svcproxy/topology";
import type { Dialect } from "./dialect.ts";
import type { DispatchMode } from "./dispatch/dispatch-mode.ts";

/** How rules are written: whose they are, and how a connection finds its service. */
export interface RuleStyle {
  readonly dialect: Dialect;
  readonly dispatch: DispatchMode;
}

/** A style, and what is written in it. */
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

/** Short, because the name of a chain has 28 characters. */
const DIALECT_NAMES: Readonly<Record<Dialect, string>> = { document: "doc", kubernetes: "k8s" };

/** How the name of an empty chain says it, `k8s-tree` for instance. */
export function styleName({ dialect, dispatch }: RuleStyle): string {
  return `${DIALECT_NAMES[dialect]}-${dispatch}`;
}

/** The style of such a name; undefined where it is another. */
export function parseStyleName(name: string): RuleStyle | undefined {
  return STYLES.find((style) => styleName(style) === name);
}

const STYLES: readonly RuleStyle[] = (["document", "kubernetes"] as const).flatMap((dialect) =>
  (["auto", "linear", "tree"] as const).map((dispatch) => ({ dialect, dispatch })),
);
