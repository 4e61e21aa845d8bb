import type { Cause } from "./cause.ts";
import type { CauseCode } from "./cause-codes.ts";

const OF_RULES: readonly CauseCode[] = ["RULES_MISSING", "RULES_OUTDATED", "MASQUERADE_MISSING"];

/** What a cause brings about on its host: these are told below it. */
const BRINGS_ABOUT: Readonly<Partial<Record<CauseCode, readonly CauseCode[]>>> = {
  LINK_DOWN: [
    "ROUTE_MISSING",
    "NEIGHBOUR_MISSING",
    "TUNNEL_ENTRY_MISSING",
    "VIP_ROUTE_MISSING",
    "MASQUERADE_MISSING",
    "TUNNEL_FILTERED",
    "POD_GONE",
    "POD_CUT_OFF",
  ],
  HOST_ADDRESS_MISSING: [
    "VIP_ROUTE_MISSING",
    "ROUTE_MISSING",
    "REVERSE_PATH_FILTERED",
    "NEIGHBOUR_MISSING",
    "TUNNEL_SOURCE_MISSING",
  ],
  ROUTE_MISSING: ["MASQUERADE_MISSING"],
  ROUTE_REFUSES: ["REVERSE_PATH_FILTERED"],
  ARP_OFF: ["POD_GONE", "POD_CUT_OFF", "NEIGHBOUR_MISSING"],
  ADDRESS_TWICE: ["NOTHING_LISTENS", "MASQUERADE_MISSING", "ROUTE_MISSING"],
  RULES_MISSING: ["MASQUERADE_MISSING", "RULES_OUTDATED"],
  TWO_PROXIES: OF_RULES,
  RULES_CONTESTED: OF_RULES,
  AGENT_GONE: OF_RULES,
  AGENT_BEHIND: OF_RULES,
  RULES_LOCK_HELD: OF_RULES,
  BRIDGE_PORT_CLOSED: ["POD_GONE", "NOTHING_LISTENS"],
  POD_GONE: ["NOTHING_LISTENS", "NEIGHBOUR_MISSING"],
  POD_CUT_OFF: ["MASQUERADE_MISSING"],
};

/** Puts what a named cause brings about below it. */
export function nestEffects(causes: readonly Cause[]): readonly Cause[] {
  const nested = new Set<Cause>();
  const tops = causes.map((cause): Cause => {
    const codes = BRINGS_ABOUT[cause.code];
    if (codes === undefined) return cause;
    const effects = causes.filter(
      (other) => other !== cause && other.host === cause.host && codes.includes(other.code) && isSame(cause, other),
    );
    for (const effect of effects) nested.add(effect);
    return effects.length === 0
      ? cause
      : {
          ...cause,
          // It is as bad as the worst that it brings about.
          severity: [cause, ...effects].some(({ severity }) => severity === "error") ? "error" : cause.severity,
          effects,
          sufferers: [...cause.sufferers, ...effects.flatMap(({ sufferers }) => sufferers)],
        };
  });
  return tops.filter((_cause, index) => {
    const own = causes[index];
    return own === undefined || !nested.has(own);
  });
}

/** Of endpoints: the same one, or what becomes of its pod as a client. */
function isSame(cause: Cause, other: Cause): boolean {
  const [, address] = /^endpoint (.+):\d+$/.exec(cause.subject) ?? [];
  if (address === undefined || cause.subject === other.subject) return true;
  const client = address.replace(/^\[|\]$/g, "");
  return other.code === "MASQUERADE_MISSING" && other.evidence.some((line) => line.startsWith(`${client} `));
}
