import type { Variant } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import type { Dialect } from "../dialect.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import type { VariantChoice } from "../kernel/detect-variant.ts";
import type { RuleStyle } from "../rule-style.ts";

/** How the iptables data path carries plans out. */
export interface IptablesSettings {
  /** Default: the one of our rules that are there, else `defaultDialect`. */
  readonly dialect?: Dialect | undefined;
  /** Default `document`. */
  readonly defaultDialect?: Dialect;
  /** Default: the one of our rules that are there, else `auto`. */
  readonly dispatch?: DispatchMode | undefined;
  /** Default: where rules already live. */
  readonly variant?: Variant | undefined;
  /** The families to look at and to change; default both. In one without frontends our rules are removed. */
  readonly families?: readonly Family[];
  /** Whether to take over chains that have our names but that somebody else made; default no. */
  readonly adopt?: boolean;
  /** NodePorts that are served although a program of this host listens on them. */
  readonly takePorts?: ReadonlySet<number>;
}

/** What is told of while it happens. */
export interface IptablesEvents {
  /** Another svcproxy, of this pid as far as it is known, changes the rules, and is waited for. */
  readonly onWait?: (holder: number | undefined) => void;
  readonly onVariant?: (choice: VariantChoice) => void;
}

/** How rules are written: as it was asked for, else as those that are there, else by default. */
export function chooseStyle(
  { dialect, defaultDialect, dispatch }: IptablesSettings,
  found?: RuleStyle | undefined,
): RuleStyle {
  return {
    dialect: dialect ?? found?.dialect ?? defaultDialect ?? "document",
    dispatch: dispatch ?? found?.dispatch ?? "auto",
  };
}
