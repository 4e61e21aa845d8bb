import { ROUTE_LOCALNET } from "@svcproxy/host";
import {
  compileScript,
  type Dialect,
  type DispatchMode,
  FIREWALL,
  foldScript,
  formatRestoreScript,
  formatShellScript,
  fullRuleSet,
  type Script,
  servesLocalhost,
} from "@svcproxy/iptables";
import { type Family, type HostPlan, inputError, unreachable, visible } from "@svcproxy/topology";

export { chooseDialect } from "@svcproxy/iptables";

export interface PrintOptions {
  readonly format: "commands" | "restore" | "json";
  readonly dialect: Dialect;
  readonly dispatch: DispatchMode;
  /** By default those in which the host has frontends; IPv4 where it has none at all. */
  readonly families: readonly Family[] | undefined;
}

/**
 * The rules of a plan as text, piece by piece: a shell script, input for iptables-restore, or JSON (a RuleSet, or a list
 * of two where both families are in play).
 *
 * @throws InputError FAMILY_REQUIRED where restore text is asked for and both families are in play
 */
export function printRules(
  plan: HostPlan,
  { format, dialect, dispatch, families = familiesInUse(plan) }: PrintOptions,
): Iterable<string> {
  const [script, second] = families.map((family) => compileScript(plan, { dialect, family, dispatch }));
  if (script === undefined) throw new TypeError("no family to print rules of");
  const scripts = second === undefined ? [script] : [script, second];
  switch (format) {
    case "commands":
      return shellScript(plan, { scripts, dialect });
    case "restore":
      if (second === undefined) return formatRestoreScript(script);
      throw inputError(
        "FAMILY_REQUIRED",
        "Cannot print restore text for both families: each has a program of its own",
        { hint: "Ask for one with --family 4 (iptables-restore) or --family 6 (ip6tables-restore)" },
      );
    case "json":
      return json(scripts);
    default:
      return unreachable(format);
  }
}

/** One chain a line: of a large cluster, all of it in one string would be more than a string can hold. */
function* json(scripts: readonly Script[]): Generator<string> {
  const isList = scripts.length > 1;
  if (isList) yield "[\n";
  for (const [index, script] of scripts.entries()) {
    const { family, tables } = fullRuleSet(foldScript(script));
    yield `${index === 0 ? "" : ",\n"}{ "family": ${family}, "tables": [`;
    for (const [place, { name, chains }] of tables.entries()) {
      yield `${place === 0 ? "" : ","}\n  { "name": ${JSON.stringify(name)}, "chains": [`;
      for (const [row, chain] of chains.entries()) yield `${row === 0 ? "" : ","}\n    ${JSON.stringify(chain)}`;
      yield "\n  ] }";
    }
    yield "\n] }";
  }
  yield isList ? "\n]\n" : "\n";
}

/** What restore text cannot say: a sysctl without which NodePorts on 127.0.0.1 get no answer. */
export function sysctlNeed(plan: HostPlan): string | undefined {
  if (!servesLocalhost(plan, 4)) return undefined;
  return `NodePorts on 127.0.0.1 need ${ROUTE_LOCALNET}=1; set it once these rules, which guard it, are loaded`;
}

function familiesInUse({ ports }: HostPlan): readonly Family[] {
  const used = ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
  return used.length === 0 ? [4] : used;
}

function* shellScript(
  plan: HostPlan,
  { scripts, dialect }: { readonly scripts: readonly Script[]; readonly dialect: Dialect },
): Generator<string> {
  const name = visible(JSON.stringify(plan.host.name));
  yield "#!/bin/sh -e\n";
  for (const [index, script] of scripts.entries()) {
    const title = `IPv${script.family} rules of host ${name} in the ${dialect} dialect`;
    yield `${index === 0 ? "" : "\n"}# ${title}\n\n`;
    yield* formatShellScript(script);
    if (servesLocalhost(plan, script.family)) {
      yield `\n# NodePorts on 127.0.0.1, now that ${FIREWALL} keeps everybody else off loopback\n`;
      yield `sysctl -q -w ${ROUTE_LOCALNET}=1\n`;
    }
  }
}
