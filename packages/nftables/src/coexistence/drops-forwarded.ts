import type { Match, RuleSet } from "@svcproxy/rules";
import { cidrContains } from "@svcproxy/topology";
import type { AskedPacket } from "./asked-packet.ts";

/**
 * Whether iptables' FORWARD ends in its policy, and that is to drop: of the rules on the way only those count that accept the packet
 * for what is known of it, its destination, its protocol and that it was translated.
 */
export function dropsForwarded({ tables }: RuleSet, packet: AskedPacket): boolean {
  const chains = tables.find(({ name }) => name === "filter")?.chains ?? [];
  const forward = chains.find(({ name }) => name === "FORWARD");
  if (forward?.policy !== "DROP") return false;
  const seen = new Set<string>();
  const accepts = (name: string): boolean => {
    if (seen.has(name)) return false;
    seen.add(name);
    const rules = chains.find((chain) => chain.name === name)?.rules ?? [];
    return rules.some(({ matches, target }) => {
      if (!matches.every((match) => isMet(match, packet))) return false;
      return target.kind === "accept" || ((target.kind === "jump" || target.kind === "goto") && accepts(target.chain));
    });
  };
  return !accepts("FORWARD");
}

function isMet(match: Match, packet: AskedPacket): boolean {
  switch (match.kind) {
    case "comment":
      return true;
    case "protocol":
      return (match.protocol === packet.protocol) !== match.negated;
    case "destination":
      return packet.address !== undefined && cidrContains(match.cidr, packet.address) !== match.negated;
    case "conntrack": {
      const { kind: _kind, states, ...others } = match;
      if (states === undefined || Object.keys(others).length > 0) return false;
      const isOne = states.states.some((state) => state === "NEW" || state === "DNAT");
      return isOne !== states.negated;
    }
    default:
      return false;
  }
}
