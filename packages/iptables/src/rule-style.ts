import type { Dialect } from "./dialect.ts";
import type { DispatchMode } from "./dispatch/dispatch-mode.ts";

/** How rules are written: whose they are, and how a connection finds its service. */
export interface RuleStyle {
  readonly dialect: Dialect;
  readonly dispatch: DispatchMode;
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
