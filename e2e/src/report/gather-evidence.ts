import { HOST_NAMES, type Stage } from "../stage/stage.ts";

const LOOKS = [
  ["rules", "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save; nft list ruleset"],
  ["addresses", "ip -brief address"],
  ["routes", "ip route; ip -6 route"],
  ["listeners", "ss -lntu"],
  ["connections that are tracked", "conntrack -L; conntrack -L -f ipv6"],
  ["log of the proxy", "cat /run/userspace.log"],
] as const;

/** Lines that are shown of what may run to thousands: packets of the second try, connections of the first. */
const LINES_SHOWN = 120;

/**
 * What explains a failure: what the hosts look like, and the packets that pass them when `again` tries it once more.
 */
export async function gatherEvidence(stage: Stage, again: () => Promise<void>): Promise<string> {
  const looks = await Promise.all(HOST_NAMES.map((host) => look(stage, host)));
  const captures = await captureOnAll(stage, HOST_NAMES, again);
  return [...looks, ...captures].join("\n");
}

async function look(stage: Stage, host: string): Promise<string> {
  const parts = await Promise.all(
    LOOKS.map(async ([title, command]) => {
      const { stdout } = await stage.lab.run(host, ["sh", "-c", `{ ${command}; } 2>/dev/null`]);
      if (stdout.trim() === "") return "";
      return `--- ${host}: ${title}\n${title === "rules" ? stdout.trimEnd() : crop(stdout)}\n`;
    }),
  );
  return parts.join("");
}

/** Captures on all hosts at once: each waits for the one inside of it. */
async function captureOnAll(
  stage: Stage,
  hosts: readonly string[],
  again: () => Promise<void>,
): Promise<readonly string[]> {
  const [host, ...rest] = hosts;
  if (host === undefined) {
    await again().catch(() => {}); // how it ends this time does not matter
    return [];
  }
  let inner: readonly string[] = [];
  // What the overlay wraps is seen unwrapped on its own device.
  const request = { place: host, interface: "any", filter: ["not", "udp", "port", "8472"] };
  const packets = await stage.capture(request, async () => {
    inner = await captureOnAll(stage, rest, again);
  });
  return [`--- ${host}: packets when it was tried again\n${crop(packets)}\n`, ...inner];
}

function crop(text: string): string {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= LINES_SHOWN) return lines.join("\n");
  return `${lines.slice(0, LINES_SHOWN).join("\n")}\n(${lines.length - LINES_SHOWN} more)`;
}
