import type { Viewed } from "./engine/viewed.ts";

/** What is shown as a text that is another where it means something else: without counters, times, and what traffic writes. */
export function meaningOf({ source, topology, hosts, problems }: Viewed): string {
  return JSON.stringify({
    ...{ source, topology, problems },
    hosts: hosts.map(({ texts, hostState: { recentLists: _clients, ...hostState }, ...host }) => ({
      ...{ ...host, hostState },
      texts: texts.map(({ file, text }) => [file, meaningOfListing(text)]),
    })),
  });
}

/** Of what iptables-save and nft print. */
function meaningOfListing(text: string): string {
  return (
    text
      // The date at which it was saved.
      .replaceAll(/^#.*\n/gm, "")
      .replaceAll(/\[\d+:\d+\]|packets \d+ bytes \d+|last used \S+|used \d+ \w+/g, "")
      // Elements that end by themselves are clients that were here, or the lease of a table: it is there, or it is not.
      .replaceAll(/[^,{}]*\bexpires [^,{}]*(?:,|(?=\}))/g, "")
  );
}
