import type { HostSnapshot } from "@svcproxy/host";
import type { Finding } from "../walk/finding.ts";

/** Rules that rewrite the source to some ports only: `--to-ports 1024-2047`, `masquerade to :1024-2047`, `snat to 10.0.0.1:1024-2047`. */
const FEW_PORTS =
  /^.*(?:MASQUERADE.*--to-ports? \d|SNAT.*--to-source \S+:\d|masquerade to :\d|snat (?:ip6? )?to \S+:\d).*$/gm;
const MOST_RULES = 3;

/**
 * Connections that the kernel dropped between two looks because no port was left to which their source could be rewritten. It counts them
 * together with others that lost a race, so a rule that has few ports to give belongs to it.
 */
export function portsUsedUp(before: HostSnapshot, after: HostSnapshot): Finding | undefined {
  const count = ({ conntrack }: HostSnapshot) => conntrack.statistics["insert_failed"] ?? 0;
  const grown = count(after) - count(before);
  const texts = after.rules?.texts.map(({ text }) => text).join("\n") ?? "";
  const rules = [...new Set((texts.match(FEW_PORTS) ?? []).map((line) => line.trim()))];
  if (grown <= 0 || rules.length === 0) return undefined;
  return {
    code: "SOURCE_PORTS_USED_UP",
    subject: "source ports",
    text: "A rule that rewrites the source of connections has no port left for one more: new ones are dropped",
    evidence: [
      `insert_failed of connection tracking grew by ${grown} while connections were tried`,
      ...rules.slice(0, MOST_RULES),
    ],
    suspect: "whoever wrote that rule, and many connections to one endpoint",
    remedy: [],
    hint: "Let that rule use more ports, or take the limit away",
  };
}
