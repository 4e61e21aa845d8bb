import type { Family } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";

/** What keeps the kernel translating. */
export const HELD_TABLE = "inet svcproxy-held";

/**
 * The kernel tracks and translates connections only as long as some rule asks it to: with the last one, those that are open lose their
 * translation, and are reset. This one asks, and changes nothing.
 */
const TABLE = `table ${HELD_TABLE} {
	comment "svcproxy: connections by rules of before go on; gone with svcproxy run"
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ct state established
	}
}
`;

type Nft = Pick<Machine, "run" | "hasTool">;

/**
 * Keeps connections that rules translate alive when these rules go.
 *
 * @returns false where this machine cannot: it has no `nft`, or one that refuses
 */
export async function holdConnections(machine: Nft, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
  if (!machine.hasTool("nft")) return false;
  return (await machine.run("nft", ["-f", "-"], { input: TABLE, signal })).exitCode === 0;
}

/** Ends that. @returns whether there was something to end */
export async function releaseConnections(machine: Nft, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
  if (!machine.hasTool("nft")) return false;
  return (await machine.run("nft", ["delete", "table", ...HELD_TABLE.split(" ")], { signal })).exitCode === 0;
}

/** Those that are not answered yet, or whose answer did not reach the client. */
const UNANSWERED = ["SYN_SENT", "SYN_RECV"].map((state) => ["-p", "tcp", "--state", state]);
/** UDP has no connections: what one rule has led somewhere goes there as long as the client goes on sending, whoever serves by then. */
const DATAGRAMS = [["-p", "udp"]];

/** Makes the kernel forget translated dials (TCP) or flows (UDP): when they are tried again, or go on, they are led anew. */
export async function forgetTranslated(
  machine: Nft,
  {
    what,
    families,
    signal,
  }: { readonly what: "dials" | "datagrams"; readonly families: readonly Family[]; readonly signal: AbortSignal },
): Promise<void> {
  if (!machine.hasTool("conntrack")) return;
  for (const family of families) {
    const name = family === 4 ? "ipv4" : "ipv6";
    // It fails where there is none.
    for (const which of what === "dials" ? UNANSWERED : DATAGRAMS)
      await machine.run("conntrack", ["-D", ...which, "--dst-nat", "-f", name], { signal });
  }
}
