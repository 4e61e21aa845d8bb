import type { Listed, ViewedHost } from "./engine/viewed.ts";

/** What is shown as a text that is another where it means something else: without counters, times, and what traffic writes. */
export function meaningOf({ source, topology, hosts, problems }: Listed): string {
  return JSON.stringify({
    ...{ source, topology, problems },
    hosts: hosts.map((host) => (isViewed(host) ? meaningOfViewed(host) : host)),
  });
}

function isViewed(host: Listed["hosts"][number] | ViewedHost): host is ViewedHost {
  return "texts" in host;
}

function meaningOfViewed({ texts, hostState: { recentLists: _clients, ...hostState }, ...host }: ViewedHost) {
  return { ...host, hostState, texts: texts.map(({ file, text }) => [file, meaningOfListing(text)]) };
}

/** Of what iptables-save and nft print. It may be tens of megabytes: each step goes once along it. */
function meaningOfListing(text: string): string {
  const lines = text.split("\n").filter((line) => !line.startsWith("#")); // those have the date at which it was saved
  return lines
    .map((line) => (line.includes(" expires ") ? withoutExpiring(line) : `${line}\n`))
    .join("")
    .replaceAll(COUNTED, "");
}

const COUNTED = /\[\d+:\d+\]|packets \d+ bytes \d+|last used \S+|used \d+ \w+/g;

/** Elements that end by themselves are clients that were here, or the lease of a table: what is told is that there are some. */
function withoutExpiring(line: string): string {
  return line
    .split(",")
    .map((part) => (part.includes(" expires ") ? part.replaceAll(/[^{}]/g, "") : part.trim()))
    .join("");
}
