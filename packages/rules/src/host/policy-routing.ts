import { addressFromBits, cidrContains, cidrOf, type Family, familyOf, type IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import type { PolicyRule, Route } from "./host-state.ts";

/** What the kernel asks its routing tables. */
export interface RouteQuery {
  readonly destination: IpAddress;
  /** Undefined where the source is still to be chosen. */
  readonly source?: IpAddress;
  readonly mark: number;
  /** The byte of the type of service; undefined where it is not known. */
  readonly tos?: number;
  /** With the ports, where policy rules may look at them; undefined where the kernel does not show them these. */
  readonly protocol?: string;
  readonly sourcePorts?: NumberRange;
  readonly destinationPorts?: NumberRange;
  /** `lo` for what the host itself sends. */
  readonly inInterface: string;
  /** Only routes by this interface count. */
  readonly onlyInterface?: string;
}

export type RouteAnswer =
  | { readonly kind: "found"; readonly route: Route }
  /** No table has a route. */
  | { readonly kind: "none" }
  /** The answer hangs on something that we do not know. */
  | { readonly kind: "unknown"; readonly because: string };

/** Routes of each table and family, best first. */
export type Tables = ReadonlyMap<string, readonly Route[]>;

export function tableKey(table: string, family: Family): string {
  return `${family} ${table}`;
}

export function indexTables(routes: readonly Route[]): Tables {
  const tables = new Map<string, Route[]>();
  for (const route of routes) {
    const key = tableKey(route.table, familyOf(route.destination.address));
    const table = tables.get(key);
    if (table === undefined) tables.set(key, [route]);
    else table.push(route);
  }
  for (const table of tables.values()) {
    table.sort((a, b) => b.destination.prefixLength - a.destination.prefixLength || a.metric - b.metric);
  }
  return tables;
}

export interface PolicySearch {
  readonly policy: readonly PolicyRule[];
  readonly tables: Tables;
  /** Place of the rule that is asked next. */
  readonly at: number;
}

/** Asks the rules of `ip rule` in order, and the tables that they name. */
export function lookUp({ policy, tables, at }: PolicySearch, query: RouteQuery): RouteAnswer {
  for (let place = at; place < policy.length; place++) {
    const rule = policy[place];
    const selected = rule === undefined ? "no" : selects(rule, query);
    if (rule === undefined || selected === "no") continue;
    const next = { policy, tables, at: place + 1 };
    if (selected === "unknown") {
      const taken = follow(rule, next, query);
      const passed = lookUp(next, query);
      if (taken !== "passed" && JSON.stringify(taken) === JSON.stringify(passed)) return passed;
      return {
        kind: "unknown",
        because: `which packets ip rule ${rule.priority} is for is not known (${unknownOf(rule)})`,
      };
    }
    const answer = follow(rule, next, query);
    if (answer !== "passed") return answer;
  }
  return { kind: "none" };
}

function unknownOf({ unknown, tos }: PolicyRule): string {
  return (
    unknown ?? (tos === undefined ? "it asks for ports" : `it asks for the type of service 0x${tos.value.toString(16)}`)
  );
}

/** What a rule makes of a packet that it is for. */
function follow(
  { action, priority }: PolicyRule,
  { policy, tables, at }: PolicySearch,
  query: RouteQuery,
): RouteAnswer | "passed" {
  switch (action.kind) {
    case "nop":
      return "passed";
    case "goto": {
      const target = policy.findIndex((rule, place) => place >= at && rule.priority === action.priority);
      return target < 0 ? "passed" : lookUp({ policy, tables, at: target }, query);
    }
    case "unreachable":
    case "prohibit":
    case "blackhole":
      return { kind: "found", route: { ...NO_ROUTE[familyOf(query.destination)], type: action.kind } };
    case "table": {
      const route = findRoute(tables.get(tableKey(action.table, familyOf(query.destination))) ?? [], query);
      if (route === undefined || route.type === "throw") return "passed";
      if (!isRefusal(route) && route.destination.prefixLength <= (action.suppressPrefixLength ?? -1)) return "passed";
      if (action.suppressUnknown !== undefined)
        return { kind: "unknown", because: `ip rule ${priority} has \`${action.suppressUnknown}\`` };
      if (route.unknown !== undefined)
        return { kind: "unknown", because: `the route to ${query.destination} has ${route.unknown}` };
      return { kind: "found", route };
    }
  }
}

/** A refusal is an error of the search, and passed over by nothing. */
function isRefusal({ type }: Route): boolean {
  return type === "unreachable" || type === "prohibit" || type === "blackhole";
}

/** What a policy rule that refuses stands for. */
const NO_ROUTE: Readonly<Record<Family, Omit<Route, "type">>> = {
  4: { destination: cidrOf(addressFromBits(4, 0n), 0), metric: 0, table: "" },
  6: { destination: cidrOf(addressFromBits(6, 0n), 0), metric: 0, table: "" },
};

function findRoute(routes: readonly Route[], { destination, onlyInterface }: RouteQuery): Route | undefined {
  return routes.find(
    (route) =>
      cidrContains(route.destination, destination) &&
      (onlyInterface === undefined || route.interface === onlyInterface),
  );
}

/** Whether a rule is for a packet. @see linux net/core/fib_rules.c, fib_rule_match */
function selects(rule: PolicyRule, query: RouteQuery): "yes" | "no" | "unknown" {
  const answers = [
    answer(selectsPlainly(rule, query)),
    rule.tos === undefined
      ? "yes"
      : query.tos === undefined
        ? "unknown"
        : answer((query.tos & rule.tos.mask) === rule.tos.value),
    rule.protocol === undefined ? "yes" : answer(rule.protocol === query.protocol),
    portsWithin(query.sourcePorts, rule.sourcePorts),
    portsWithin(query.destinationPorts, rule.destinationPorts),
    rule.unknown === undefined ? "yes" : "unknown",
  ] as const;
  const all = answers.includes("no") ? "no" : answers.includes("unknown") ? "unknown" : "yes";
  if (rule.not !== true || all === "unknown") return all;
  return all === "yes" ? "no" : "yes";
}

function answer(holds: boolean): "yes" | "no" {
  return holds ? "yes" : "no";
}

function portsWithin(ports: NumberRange | undefined, wanted: NumberRange | undefined): "yes" | "no" | "unknown" {
  if (wanted === undefined) return "yes";
  if (ports === undefined || ports.to < wanted.from || ports.from > wanted.to) return "no";
  return ports.from >= wanted.from && ports.to <= wanted.to ? "yes" : "unknown";
}

function selectsPlainly(rule: PolicyRule, { destination, source, mark, inInterface }: RouteQuery): boolean {
  if (rule.from !== undefined && rule.from.prefixLength > 0) {
    if (source === undefined || !cidrContains(rule.from, source)) return false;
  }
  if (rule.to !== undefined && !cidrContains(rule.to, destination)) return false;
  // fib_rule_match: ((rule->mark ^ fl->flowi_mark) & rule->mark_mask) must be 0.
  if (rule.mark !== undefined && ((rule.mark.value ^ mark) & rule.mark.mask) !== 0) return false;
  if (rule.inInterface !== undefined && rule.inInterface !== inInterface) return false;
  // `oif` selects sockets bound to a device, which a forwarded packet is not.
  return rule.outInterface === undefined;
}
