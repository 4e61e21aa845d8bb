import { cidrContains, familyOf, formatCidr, parseIpAddress } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";
import type { Finding } from "./finding.ts";

const REFUSING: ReadonlySet<string> = new Set(["blackhole", "unreachable", "prohibit"]);

/** Routes and rules of routing that refuse an address on purpose. */
export function refusingRoute({ name, snapshot }: ObservedHost, destination: string, because: string): Finding {
  const address = parseIpAddress(destination);
  const { routes, policyRules } = snapshot.hostState;
  const refusing =
    address === undefined
      ? []
      : routes.filter(({ type, destination: block }) => REFUSING.has(type) && cidrContains(block, address));
  const rules =
    address === undefined
      ? []
      : (policyRules ?? []).filter(
          ({ action, to, family }) =>
            REFUSING.has(action.kind) &&
            family === familyOf(address) &&
            (to === undefined || cidrContains(to, address)),
        );
  const routeTexts = refusing.map(
    ({ type, destination: block, table }) => `${type} ${formatCidr(block)} table ${table}`,
  );
  const ruleTexts = rules.map(({ priority, action }) => ({ priority, kind: action.kind }));
  return {
    code: "ROUTE_REFUSES",
    subject:
      routeTexts[0] === undefined ? `ip rule ${ruleTexts[0]?.priority ?? destination}` : `route ${routeTexts[0]}`,
    text: `A ${routeTexts.length > 0 ? "route" : "rule of routing"} of ${name} refuses packets to ${destination}`,
    evidence: [
      because,
      ...routeTexts.map((text) => `ip route: ${text}`),
      ...ruleTexts.map(({ priority, kind }) => `ip rule: priority ${priority}, ${kind}`),
    ],
    suspect: "somebody who closed that network off, or a routing program whose route went",
    remedy: [
      ...routeTexts.slice(0, 1).map((text) => `ip route del ${text}`),
      ...(routeTexts.length > 0 ? [] : ruleTexts.slice(0, 1).map(({ priority }) => `ip rule del priority ${priority}`)),
    ],
  };
}
