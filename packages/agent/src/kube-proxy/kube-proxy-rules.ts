import { findRuleTools, type IptablesTools, type Machine, MissingTool, toolName } from "@svcproxy/host";
import { GONE_UDP, isOwnChain, MARKER_CHAIN, OWN_COMMENT } from "@svcproxy/iptables";
import { EnvironmentError, type Family } from "@svcproxy/topology";

/** Where the kernel has rules of a kube-proxy. */
export type KubeProxyRules =
  /** A table of its nftables mode. */
  | { readonly kind: "nftables"; readonly family: Family }
  /** Chains of its iptables mode; one family and variant has them in the tables nat, filter and mangle. */
  | { readonly kind: "iptables"; readonly family: Family; readonly tools: IptablesTools };

/** A chain that kube-proxy makes in each table that it uses in its iptables mode, and nobody else. */
const CANARY = "KUBE-PROXY-CANARY";
const TABLES = ["nat", "filter", "mangle"] as const;
const FAMILIES: readonly Family[] = [4, 6];

const nftFamily = (family: Family) => (family === 4 ? "ip" : "ip6");

/** Rules of a kube-proxy in this network namespace: looks at names alone, and changes nothing. */
export async function findKubeProxyRules(
  machine: Machine,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly KubeProxyRules[]> {
  const { iptables, hasNft } = await findRuleTools(machine, { signal });
  const found: KubeProxyRules[] = [];
  if (hasNft) {
    const { stdout } = await machine.run("nft", ["list", "tables"], { signal });
    for (const family of FAMILIES) {
      if (stdout.includes(`table ${nftFamily(family)} kube-proxy\n`)) found.push({ kind: "nftables", family });
    }
  }
  for (const { tools } of iptables) {
    for (const family of FAMILIES) {
      if (await hasCanary(machine, { tools, family, signal })) found.push({ kind: "iptables", family, tools });
    }
  }
  return found;
}

/** By `-save`, which makes no table where there is none; nft's mangle table has next to nothing in it. */
async function hasCanary(
  machine: Machine,
  { tools, family, signal }: { readonly tools: IptablesTools; readonly family: Family; readonly signal: AbortSignal },
): Promise<boolean> {
  try {
    // Asked for one table, the legacy one makes it.
    const args = tools.variant === "legacy" ? [] : ["-t", "mangle"];
    const { stdout } = await machine.run(toolName(tools, family, "-save"), args, { signal });
    return stdout.includes(`:${CANARY} `);
  } catch (error) {
    if (error instanceof MissingTool) return false;
    throw error;
  }
}

/** How people call them. */
export function describeKubeProxyRules(rules: readonly KubeProxyRules[]): string {
  const names = rules.map((one) =>
    one.kind === "nftables"
      ? `table ${nftFamily(one.family)} kube-proxy`
      : `chains of its iptables mode (${toolName(one.tools, one.family, "")})`,
  );
  return names.join(", ");
}

/** Takes the tables of its nftables mode away, each at once. @throws EnvironmentError TOOL_FAILED, MISSING_TOOL */
export async function deleteKubeProxyTables(
  machine: Machine,
  { rules, signal }: { readonly rules: readonly KubeProxyRules[]; readonly signal: AbortSignal },
): Promise<void> {
  for (const one of rules) {
    if (one.kind !== "nftables") continue;
    const args = ["delete", "table", nftFamily(one.family), "kube-proxy"];
    const { exitCode, stderr } = await machine.run("nft", args, { signal });
    if (exitCode !== 0 && !stderr.includes("No such file")) {
      throw new EnvironmentError("TOOL_FAILED", `Cannot remove ${describeKubeProxyRules([one])}: ${stderr.trim()}`);
    }
  }
}

/**
 * Marks the chains of its iptables mode as ours, in the tables that have some: the iptables data path then changes them into what it serves by
 * small steps, or takes them away. The jumps to them get comments of ours, see `OWN_COMMENT`; those to chains that a kubelet needs as well are the kubelet's.
 *
 * @throws EnvironmentError TOOL_FAILED, MISSING_TOOL
 */
export async function adoptKubeProxyChains(
  machine: Machine,
  { rules, signal }: { readonly rules: readonly KubeProxyRules[]; readonly signal: AbortSignal },
): Promise<void> {
  for (const one of rules) {
    if (one.kind !== "iptables") continue;
    const input = splitTables(await saved(machine, { ...one, signal }))
      .filter(({ name, chains }) => TABLES.some((table) => table === name) && chains.includes(CANARY))
      .map((table) => {
        const names = new Set(table.chains);
        const jumps = hooksOf(table, THEIR_COMMENT)
          .filter(({ spec }) => isOwnChain(/ -j (\S+)/.exec(spec)?.[1] ?? "", names))
          .map((hook) => replaced(hook, ownSpec(hook)));
        return [`*${table.name}`, `:${MARKER_CHAIN} - [0:0]`, `-X ${CANARY}`, ...jumps, "COMMIT", ""].join("\n");
      })
      .join("");
    await restore(machine, { ...one, input, signal });
  }
}

/**
 * Takes our marks off the tables whose chains a kube-proxy of the iptables mode has made its own, and with them our jumps beside its own, and the chains
 * that it does not know, once nothing leads to them.
 *
 * @returns whether there were any
 * @throws EnvironmentError TOOL_FAILED, MISSING_TOOL
 */
export async function releaseToKubeProxy(
  machine: Machine,
  { rules, signal }: { readonly rules: readonly KubeProxyRules[]; readonly signal: AbortSignal },
): Promise<boolean> {
  let isFound = false;
  for (const one of rules) {
    if (one.kind !== "iptables") continue;
    const save = await saved(machine, { ...one, signal });
    const input = splitTables(save)
      .filter(({ chains }) => chains.includes(CANARY) && chains.some(isMark))
      .map((table) => {
        const { name, chains, rules: lines } = table;
        const gone = [...new Set([...chains.filter(isMark), ...unreferenced(chains, lines)])];
        const theirs = new Set(hooksOf(table, THEIR_COMMENT).map(({ chain, spec }) => `${chain} ${spec}`));
        const jumps = hooksOf(table, OUR_COMMENT).map((hook) => ({ ...hook, theirSpec: theirSpec(hook) }));
        // Those that it has not written yet become its own.
        const { true: double = [], false: single = [] } = Object.groupBy(jumps, ({ chain, theirSpec: spec }) =>
          theirs.has(`${chain} ${spec}`) ? "true" : "false",
        );
        return [
          `*${name}`,
          ...gone.map((chain) => `:${chain} - [0:0]`),
          ...single.map((hook) => replaced(hook, hook.theirSpec)),
          ...double.map(({ chain, spec }) => `-D ${chain} ${spec}`),
          ...gone.map((chain) => `-X ${chain}`),
          "COMMIT",
          "",
        ].join("\n");
      })
      .join("");
    if (input === "") continue;
    isFound = true;
    await restore(machine, { ...one, input, signal });
  }
  return isFound;
}

/** A rule of a built-in chain, as `-save` writes it. */
interface SavedHook {
  readonly chain: string;
  /** 1-based. */
  readonly position: number;
  /** What follows the chain's name. */
  readonly spec: string;
}

const THEIR_COMMENT = '--comment "kubernetes ';
const OUR_COMMENT = `--comment "${OWN_COMMENT}kubernetes `;

/** The jumps of built-in chains to chains with kube-proxy's names, that have such a comment. */
function hooksOf({ builtIn, rules }: SavedTable, comment: string): readonly SavedHook[] {
  return builtIn.flatMap((chain) =>
    rules
      .filter((rule) => rule.startsWith(`-A ${chain} `))
      .map((rule, index) => ({ chain, position: index + 1, spec: rule.slice(`-A ${chain} `.length) }))
      .filter(({ spec }) => spec.includes(comment) && spec.includes(" -j KUBE-")),
  );
}

const ownSpec = ({ spec }: SavedHook) => spec.replace(THEIR_COMMENT, OUR_COMMENT);
const theirSpec = ({ spec }: SavedHook) => spec.replace(OUR_COMMENT, THEIR_COMMENT);

/** Another rule in its place, so that no packet finds none. */
function replaced({ chain, position }: SavedHook, spec: string): string {
  return `-R ${chain} ${position} ${spec}`;
}

/** Parts of our dispatch, and of our choice among many endpoints: kube-proxy has no such chains. */
const OURS_ALONE = /^KUBE-(?:BAL|VIP|NP|XVIP|FVIP|XNP)-/;

/** Those to which no chain of kube-proxy's leads, be it through others of them. */
function unreferenced(chains: readonly string[], rules: readonly string[]): readonly string[] {
  const targets = new Map<string, string[]>();
  for (const rule of rules) {
    const [, from = "", to] = /^-A (\S+) .*-[jg] (\S+)/.exec(rule) ?? [];
    if (to !== undefined) targets.set(from, [...(targets.get(from) ?? []), to]);
  }
  const reached = new Set(chains.filter((chain) => !OURS_ALONE.test(chain)));
  for (const chain of reached) for (const to of targets.get(chain) ?? []) reached.add(to);
  return chains.filter((chain) => !reached.has(chain));
}

function isMark(chain: string): boolean {
  return chain === MARKER_CHAIN || chain.startsWith(`${MARKER_CHAIN}-`) || chain === GONE_UDP;
}

interface SavedTable {
  readonly name: string;
  readonly chains: readonly string[];
  /** Those of them that the kernel sends packets to. */
  readonly builtIn: readonly string[];
  readonly rules: readonly string[];
}

function splitTables(save: string): readonly SavedTable[] {
  return save
    .split(/^(?=\*)/m)
    .filter((part) => part.startsWith("*"))
    .map((part) => {
      const [head = "", ...lines] = part.split("\n");
      const heads = lines.flatMap((line) => {
        const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
        return name === undefined ? [] : [{ name, isBuiltIn: policy !== "-" }];
      });
      return {
        name: head.slice(1).trim(),
        chains: heads.map(({ name }) => name),
        builtIn: heads.filter(({ isBuiltIn }) => isBuiltIn).map(({ name }) => name),
        rules: lines.filter((line) => line.startsWith("-A ")),
      };
    });
}

interface Place {
  readonly tools: IptablesTools;
  readonly family: Family;
  readonly signal: AbortSignal;
}

async function saved(machine: Machine, { tools, family, signal }: Place): Promise<string> {
  const { stdout } = await machine.run(toolName(tools, family, "-save"), [], { signal });
  return stdout;
}

/** Each table at once. */
async function restore(
  machine: Machine,
  { tools, family, input, signal }: Place & { readonly input: string },
): Promise<void> {
  const tool = toolName(tools, family, "-restore");
  const { exitCode, stderr } = await machine.run(tool, ["--noflush", "--wait", "10"], { input, signal });
  if (exitCode === 0) return;
  throw new EnvironmentError("TOOL_FAILED", `Cannot change the chains of kube-proxy: ${tool} says: ${stderr.trim()}`);
}
