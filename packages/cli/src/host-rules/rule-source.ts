import {
  chooseDialect,
  chooseStyle,
  compileRules,
  type DesiredRules,
  dialectDeviations,
  fullRuleSet,
  readStyle,
} from "@svcproxy/iptables";
import {
  type AnyRule,
  type Deviation,
  type GivenRules,
  type HostRules,
  type HostState,
  hostRulesOf,
  hostStateOf,
  isNftRule,
  isProxyTable,
  type RulePosition,
  type RuleSet,
  readHostState,
  ruleKey,
  serviceTableOf,
  tableDeviations,
} from "@svcproxy/rules";
import { type Family, type HostPlan, inputError, planHost, type Topology } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import type { RuleSourceFlags } from "../flags/rule-source-flags.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import { EVERY_ADDRESS, readTopology, resolveHost, resolveOwnHost } from "../source/read-topology.ts";
import { findRules, isKubeProxys, type NamedSnapshot, placeOf } from "./find-rules.ts";
import { readLiveHostState } from "./live-host-state.ts";

/** What a command that judges rules works on: the rules, the host that they are on, and what they are meant to do. */
export interface RuleSource {
  /** For the first line of what people read. */
  readonly hostName: string | undefined;
  readonly hostState: HostState;
  /** Undefined where none is in play. */
  readonly topology: Topology | undefined;
  /** Undefined where no topology is in play. */
  readonly plan: HostPlan | undefined;
  /** What the rules of the dialect do otherwise than the plan, by design. */
  deviations(family: Family): readonly Deviation[];
  /** Of what families `--rules` gave files; undefined where rules come from elsewhere, of both. */
  readonly givenFamilies: readonly Family[] | undefined;
  /** Every rule of the host in one family, whichever program keeps it. */
  rules(family: Family): HostRules;
  /** Whether a rule is a service proxy's: in a chain of ours, or one of the plan's own in a built-in chain. */
  isOwn(position: RulePosition, rule: AnyRule, path: readonly string[]): boolean;
}

/**
 * Finds rules, host and plan as the flags say: rules from `--rules`, `--live` or the plan; the host's state from
 * `--host-state`, `--live` or the topology. The topology is not asked for where nothing of it is needed; `needsPlan` asks.
 *
 * @throws InputError for contradicting flags, for unreadable input, and for `--live` on a machine that is not the host
 * @throws EnvironmentError where this host cannot be read
 */
export async function openRuleSource(
  context: CommandContext,
  files: readonly string[],
  flags: RuleSourceFlags,
  { needsPlan = false }: { readonly needsPlan?: boolean } = {},
): Promise<RuleSource> {
  if (flags.live === true && flags.rules !== undefined)
    throw inputError("CONFLICTING_FLAGS", "Cannot take the rules from --rules and from --live: name one of them");
  refuseStdinTwice(files, flags);
  const { rules: given, snapshot } = await findRules(context, flags);
  const isHostKnown = flags.live === true || flags.hostState !== undefined || snapshot !== undefined;
  const needsTopology = needsPlan || files.length > 0 || given === undefined || !isHostKnown;
  // kube-proxy serves every externalIP: where its rules are judged, they are part of the plan.
  const isJudged = given !== undefined && isKubeProxys(given);
  const allowExternalIps = [...(flags.allowExternalIps ?? []), ...(isJudged ? EVERY_ADDRESS : [])];
  const topology = needsTopology
    ? (await readTopology(context, files, { ...flags, allowExternalIps })).topology
    : undefined;
  const hostName = topology === undefined ? flags.host : hostNameIn(topology, flags, snapshot);
  const hostState =
    flags.hostState === undefined && snapshot !== undefined
      ? snapshot.hostState
      : await findHostState(context, flags, { topology, hostName, isFresh: given === undefined });
  const seen = isHostKnown ? hostState : undefined;
  const plan = topology === undefined || hostName === undefined ? undefined : planOf(topology, { hostName, seen });
  const defaultDialect = chooseDialect(topology ?? { source: "topology" });
  const style = chooseStyle({ ...flags, defaultDialect }, given === undefined ? undefined : styleOf(given));
  const desired = plan === undefined ? [] : ([4, 6] as const).map((family) => compileRules(plan, { ...style, family }));
  return {
    hostName,
    hostState,
    topology,
    plan,
    deviations: (family) => {
      if (plan === undefined) return [];
      const table = given === undefined ? undefined : serviceTableOf(given.rules(family));
      return table === undefined ? dialectDeviations(plan, { ...style, family }) : tableDeviations(table, plan);
    },
    givenFamilies: flags.rules === undefined ? undefined : given?.families,
    rules: (family) => given?.rules(family) ?? hostRulesOf(rulesOfPlan(desired, family)),
    isOwn: ownership(desired),
  };
}

/** Whether rules of a family are known: not where `--rules` gave files of the other alone. Files without rules are of both. */
export function isGiven({ givenFamilies = [] }: RuleSource, family: Family): boolean {
  return givenFamilies.length === 0 || givenFamilies.includes(family);
}

/** What to do where rules of a family were not given. */
export function howToAdd(family: Family): string {
  return `add --rules with what ${family === 4 ? "iptables-save" : "ip6tables-save"} prints`;
}

/** @param otherInput a file that the command reads besides @throws InputError STDIN_TWICE */
export function refuseStdinTwice(
  files: readonly string[],
  { rules = [], hostState }: RuleSourceFlags,
  otherInput?: string,
): void {
  const stdin = [...rules, hostState, otherInput, ...files].filter((name) => name === "-");
  if (stdin.length > 1)
    throw inputError("STDIN_TWICE", "Cannot read two things from stdin: `-` is given more than once");
}

/** @throws InputError as `resolveHost`, and FOREIGN_HOST where this machine is looked at and is another host */
function hostNameIn(topology: Topology, flags: RuleSourceFlags, snapshot: NamedSnapshot | undefined): string {
  const isThisMachine = flags.live === true && flags.hostState === undefined;
  if (isThisMachine) return resolveOwnHost(topology, flags);
  return resolveHost(topology, flags.host, placeOf(snapshot));
}

/** @param seen the machine as it was looked at; undefined where the topology implies it */
function planOf(topology: Topology, { hostName, seen }: { hostName: string; seen: HostState | undefined }): HostPlan {
  return planHost(topology, {
    host: hostName,
    ...(seen === undefined ? {} : { machineAddresses: notedAddresses(seen) }),
  });
}

/** How rules of ours are written, where one of their chains says it. */
function styleOf({ families, rules }: GivenRules): ReturnType<typeof readStyle> {
  return readStyle(
    families.flatMap((family) =>
      rules(family).iptables.flatMap(({ rules: { tables } }) =>
        tables.flatMap(({ chains }) => chains.map(({ name }) => name)),
      ),
    ),
  );
}

function rulesOfPlan(desired: readonly DesiredRules[], family: Family): RuleSet {
  const ours = desired.find((rules) => rules.family === family);
  return ours === undefined ? { family, tables: [] } : fullRuleSet(ours);
}

async function findHostState(
  context: CommandContext,
  flags: RuleSourceFlags,
  { topology, hostName, isFresh }: { topology: Topology | undefined; hostName: string | undefined; isFresh: boolean },
): Promise<HostState> {
  if (flags.hostState !== undefined) {
    return readHostState(await readText(context, flags.hostState), { file: flags.hostState });
  }
  if (flags.live === true || topology === undefined || hostName === undefined) {
    return readHostState(await readLiveHostState(context.signal), { file: "this host" });
  }
  const implied = hostStateOf(topology, { host: hostName });
  // Rules that were just loaded have seen nobody: their `recent` lists are empty. Those of a file may not be.
  return isFresh ? { ...implied, recentLists: {} } : implied;
}

function ownership(desired: readonly DesiredRules[]): RuleSource["isOwn"] {
  const hooks = new Set(
    desired.flatMap((rules) => rules.hooks.map(({ table, chain, rule }) => `${table} ${chain} ${ruleKey(rule)}`)),
  );
  const chains = new Set(
    desired.flatMap(({ tables }) => tables.flatMap((table) => table.chains.map(({ name }) => name))),
  );
  return ({ table, chain }, rule, path) =>
    path.some((name) => name.startsWith("KUBE-") || chains.has(name)) ||
    isProxyTable(table) ||
    (!isNftRule(rule) && hooks.has(`${table} ${chain} ${ruleKey(rule)}`));
}
