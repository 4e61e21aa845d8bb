import { type Machine, toolName } from "@svcproxy/host";
import type { KubeProxyRules } from "./kube-proxy-rules.ts";

/**
 * Those of the VIPs that the rules of a kube-proxy do not name yet: it writes all that it knows at once, so that one look tells.
 *
 * External addresses that it leaves to others would be waited for in vain: only families that it has rules of count.
 */
export async function missingAtKubeProxy(
  machine: Machine,
  {
    rules,
    vips,
    signal,
  }: { readonly rules: readonly KubeProxyRules[]; readonly vips: ReadonlySet<string>; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const texts = await Promise.all(rules.map((one) => textOf(machine, one, signal)));
  const named = new Set(texts.flatMap((text) => text.match(ADDRESS) ?? []));
  const families = new Set(rules.map(({ family }) => family));
  return [...vips].filter((vip) => families.has(vip.includes(":") ? 6 : 4) && !named.has(vip));
}

const ADDRESS = /(?<![\w.:])(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]+)(?![\w.:])/g;

async function textOf(machine: Machine, rules: KubeProxyRules, signal: AbortSignal): Promise<string> {
  if (rules.kind === "nftables") {
    const args = ["-n", "list", "table", rules.family === 4 ? "ip" : "ip6", "kube-proxy"];
    return (await machine.run("nft", args, { signal })).stdout;
  }
  return (await machine.run(toolName(rules.tools, rules.family, "-save"), [], { signal })).stdout;
}
