import type { ObservedHeader } from "@svcproxy/rules";
import { parseIpAddress } from "@svcproxy/topology";

/** What one line of `nft monitor trace` tells; `id` is the packet's, another one each time that it comes in by an interface. */
export type TraceLine = { readonly id: string; readonly table: string; readonly chain: string } & (
  | { readonly kind: "packet"; readonly header: ObservedHeader; readonly key: string }
  | { readonly kind: "rule"; readonly text: string; readonly handle: number | undefined; readonly verdict: string }
  | { readonly kind: "policy"; readonly verdict: "accept" | "drop" }
);

const LINE = /^trace id ([0-9a-f]+) (\w+ \S+) (\S+) (.*)$/;

/** @returns undefined for a line that tells something else */
export function parseTraceLine(line: string): TraceLine | undefined {
  const [, id, table, chain, rest] = LINE.exec(line.trimEnd()) ?? [];
  if (id === undefined || table === undefined || chain === undefined || rest === undefined) return undefined;
  const place = { id, table, chain };
  if (rest.startsWith("packet: ")) {
    const header = headerIn(rest);
    return header === undefined ? undefined : { ...place, kind: "packet", header, key: keyIn(rest) };
  }
  const [, policy] = /^policy (accept|drop)\b/.exec(rest) ?? [];
  if (policy !== undefined) return { ...place, kind: "policy", verdict: policy === "drop" ? "drop" : "accept" };
  const [, text = "", verdict = ""] = /^(?:unknown )?rule (.*) ?\(verdict ([^()]*)\)$/.exec(rest) ?? [];
  if (verdict === "") return undefined;
  // A rule that was loaded after the monitor began is known by its handle alone.
  const [, bare, known] = /^handle (\d+)\s*$|# handle (\d+)\s*$/.exec(text) ?? [];
  const handle = bare ?? known;
  return {
    ...{ ...place, kind: "rule", verdict: verdict.trim() },
    text: bare === undefined ? text.replace(/ ?# handle \d+\s*$/, "").trim() : "",
    handle: handle === undefined ? undefined : Number(handle),
  };
}

function headerIn(text: string): ObservedHeader | undefined {
  const [, source, destination] = / ip6? saddr (\S+) ip6? daddr (\S+)/.exec(text) ?? [];
  if (source === undefined || destination === undefined) return undefined;
  const [inInterface, outInterface] = ["iif", "oif"].map((name) => new RegExp(` ${name} "([^"]*)"`).exec(text)?.[1]);
  const [sourcePort, destinationPort] = ["sport", "dport"].map(
    (name) => new RegExp(` \\w+ ${name} (\\d+)`).exec(text)?.[1],
  );
  return {
    ...(inInterface === undefined ? {} : { inInterface }),
    ...(outInterface === undefined ? {} : { outInterface }),
    source: parseIpAddress(source) ?? source,
    destination: parseIpAddress(destination) ?? destination,
    ...(sourcePort === undefined ? {} : { sourcePort: Number(sourcePort) }),
    ...(destinationPort === undefined ? {} : { destinationPort: Number(destinationPort) }),
  };
}

/** What stays the same of a packet on its way through this host, translated or not. */
function keyIn(text: string): string {
  return / (?:ip id|ip6 flowlabel) \d+/.exec(text)?.[0] ?? "";
}
