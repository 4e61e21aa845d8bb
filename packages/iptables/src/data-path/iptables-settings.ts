import type { Family } from "@svcproxy/topology";
import type { Dialect } from "../dialect.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import type { VariantChoice } from "../kernel/detect-variant.ts";
import type { Variant } from "../kernel/iptables-tables.ts";

export const DEFAULT_DIALECT: Dialect = "document";

/** How the iptables data path carries plans out. */
export interface IptablesSettings {
  /** Default `DEFAULT_DIALECT`. */
  readonly dialect?: Dialect;
  /** Default `auto`. */
  readonly dispatch?: DispatchMode | undefined;
  /** Default: where rules already live. */
  readonly variant?: Variant | undefined;
  /** The families to look at and to change; default both. In one without frontends our rules are removed. */
  readonly families?: readonly Family[];
  /** Whether to take over chains that have our names but that somebody else made; default no. */
  readonly adopt?: boolean;
}

/** What is told of while it happens. */
export interface IptablesEvents {
  /** Another svcproxy, of this pid as far as it is known, changes the rules, and is waited for. */
  readonly onWait?: (holder: number | undefined) => void;
  readonly onVariant?: (choice: VariantChoice) => void;
}
