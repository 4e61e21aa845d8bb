/** A chain of nftables in a family below IP: of frames on a bridge, of all that a device receives or sends, or of ARP. */
export interface LayerChain {
  readonly family: LayerFamily;
  readonly table: string;
  readonly name: string;
  /** Absent: another chain jumps to it. */
  readonly hook?: string;
  readonly priority: number;
  readonly policy: "accept" | "drop";
  /** Of family netdev; absent where nft does not tell. */
  readonly devices?: readonly string[];
  readonly rules: readonly LayerRule[];
}

export type LayerFamily = "bridge" | "netdev" | "arp";

export interface LayerRule {
  readonly handle: number;
  /** Nearly as nft prints it. */
  readonly text: string;
  readonly expressions: readonly Expression[];
  /** Undefined where it does not count. */
  readonly packets?: number;
}

/** A member of `expr` of `nft -j`: a name and what belongs to it. */
export type Expression = Readonly<Record<string, unknown>>;

const FAMILIES: ReadonlySet<string> = new Set<LayerFamily>(["bridge", "netdev", "arp"]);

/**
 * Reads those chains out of what `nft -j list ruleset` printed; ebtables and arptables of our time are among them.
 *
 * @param texts what `nft list ruleset` printed: some versions tell of a chain's device only there
 */
export function readLayerChains(nftJson: unknown, texts: readonly string[] = []): readonly LayerChain[] {
  const told = devicesTold(texts);
  const items = listOf(recordOf(nftJson)["nftables"]).map(recordOf);
  const chains = items.map(({ chain }) => recordOf(chain)).filter(({ family }) => FAMILIES.has(String(family)));
  const rules = Map.groupBy(
    items.map(({ rule }) => recordOf(rule)).filter(({ family }) => FAMILIES.has(String(family))),
    ({ family, table, chain }) => `${family} ${table} ${chain}`,
  );
  return chains.map((chain): LayerChain => {
    const { table, name, hook, prio, policy, dev } = chain;
    const family = familyOf(chain["family"]);
    const devices =
      dev === undefined ? told.get(`${table} ${name}`) : Array.isArray(dev) ? dev.map(String) : [String(dev)];
    return {
      ...{ family, table: String(table), name: String(name), priority: Number(prio ?? 0) },
      policy: policy === "drop" ? "drop" : "accept",
      ...(hook === undefined ? {} : { hook: String(hook) }),
      ...(devices === undefined ? {} : { devices }),
      rules: (rules.get(`${family} ${table} ${name}`) ?? []).map(readRule),
    };
  });
}

/** By table and chain of family netdev: `type filter hook ingress device "eth0" priority filter` or `devices = { eth0, eth1 }`. */
function devicesTold(texts: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const [, table, body = ""] of texts.join("\n").matchAll(/^table netdev (\S+) \{\n([\s\S]*?)^\}/gm))
    for (const [, chain, names = ""] of body.matchAll(
      /chain (\S+) \{\s*type \w+ hook \w+ devices?( = \{[^}]*\}| "?[^" ]+)/g,
    ))
      found.set(`${table} ${chain}`, names.match(/[^\s"={},]+/g) ?? []);
  return found;
}

function familyOf(text: unknown): LayerFamily {
  return text === "bridge" || text === "netdev" ? text : "arp";
}

function readRule({ handle, expr }: Expression): LayerRule {
  const expressions = listOf(expr).map(recordOf);
  const counter = expressions.find((one) => "counter" in one)?.["counter"];
  const packets = counter === undefined ? undefined : Number(recordOf(counter)["packets"]);
  return {
    ...{ handle: Number(handle), expressions, text: expressions.map(textOf).filter(Boolean).join(" ") },
    ...(packets === undefined || Number.isNaN(packets) ? {} : { packets }),
  };
}

function textOf(expression: Expression): string {
  const [[name = "", value] = []] = Object.entries(expression);
  if (name === "counter") return "counter";
  if (name === "xt") return `-m ${String(recordOf(value)["name"])}`;
  if (name !== "match") return value === null ? name : `${name} ${plain(value)}`;
  const { left, op, right } = recordOf(value);
  const sign = op === "==" || op === "in" ? "" : `${String(op)} `;
  return `${plain(left)} ${sign}${plain(right)}`;
}

function plain(value: unknown): string {
  if (typeof value === "string" || typeof value === "number") return String(value);
  const { payload, meta, prefix, set, range, target } = recordOf(value);
  if (payload !== undefined) return Object.values(recordOf(payload)).map(String).join(" ");
  if (meta !== undefined) return String(recordOf(meta)["key"]);
  if (prefix !== undefined) return Object.values(recordOf(prefix)).map(String).join("/");
  if (set !== undefined) return `{ ${listOf(set).map(plain).join(", ")} }`;
  if (range !== undefined) return listOf(range).map(plain).join("-");
  if (target !== undefined) return String(target);
  return JSON.stringify(value);
}

/** An object, or one without members for what is none. */
export function recordOf(value: unknown): Expression {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
