import type { InsertedRule, Match } from "@svcproxy/rules";
import {
  EXTERNAL_SERVICES,
  FIREWALL,
  FORWARD,
  NODE_PORTS,
  POSTROUTING,
  PROXY_FIREWALL,
  SERVICES,
} from "../rule-parts/chain-names.ts";
import { comment, NEW_CONNECTION } from "../rule-parts/matches.ts";
import { jump } from "../rule-parts/targets.ts";

const VISIBLE = comment("kubernetes externally-visible service portals");
const PORTALS = comment("kubernetes service portals");
const BALANCER_FIREWALL = comment("kubernetes load balancer firewall");

type HookRow = readonly [table: string, builtIn: string, chain: string, ...matches: Match[]];

/** kube-proxy's jumps, each put before all that is there: the later stands nearer the top. */
const HOOKS: readonly HookRow[] = [
  ["filter", "INPUT", EXTERNAL_SERVICES, NEW_CONNECTION, VISIBLE],
  ["filter", "FORWARD", EXTERNAL_SERVICES, NEW_CONNECTION, VISIBLE],
  ["filter", "INPUT", NODE_PORTS, comment("kubernetes health check service ports")],
  ["filter", "FORWARD", SERVICES, NEW_CONNECTION, PORTALS],
  ["filter", "OUTPUT", SERVICES, NEW_CONNECTION, PORTALS],
  ["filter", "FORWARD", FORWARD, comment("kubernetes forwarding rules")],
  ["filter", "INPUT", PROXY_FIREWALL, NEW_CONNECTION, BALANCER_FIREWALL],
  ["filter", "OUTPUT", PROXY_FIREWALL, NEW_CONNECTION, BALANCER_FIREWALL],
  ["filter", "FORWARD", PROXY_FIREWALL, NEW_CONNECTION, BALANCER_FIREWALL],
  ["nat", "OUTPUT", SERVICES, PORTALS],
  ["nat", "PREROUTING", SERVICES, PORTALS],
  ["nat", "POSTROUTING", POSTROUTING, comment("kubernetes postrouting rules")],
];

/** Only where NodePorts are served on 127.0.0.1. */
const GUARD_HOOKS: readonly HookRow[] = [
  ["filter", "INPUT", FIREWALL],
  ["filter", "OUTPUT", FIREWALL],
];

/** They go into the built-in chains of a table. */
export function hooksOf(table: "filter" | "nat", { guarded }: { readonly guarded: boolean }): readonly InsertedRule[] {
  return [...HOOKS, ...(guarded ? GUARD_HOOKS : [])]
    .filter(([inTable]) => inTable === table)
    .map(([, builtIn, chain, ...matches]) => ({
      chain: builtIn,
      position: 1,
      rule: { matches, target: jump(chain) },
    }));
}
