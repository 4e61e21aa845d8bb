import { familyOf } from "@svcproxy/topology";
import type { HostState, PolicyRule } from "../../host/host-state.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import type { AddressSpace } from "../space/address-space.ts";
import { singleSet } from "../space/index-set.ts";
import { policyOf, type RouteClass, tableClasses } from "../space/route-classes.ts";
import type { CompiledRule } from "./compile-rules.ts";
import { ALL_PROTOCOLS, type Condition, entered, NEVER, type OpenQuestion, portSet } from "./condition.ts";

/** One line of `ip rule` as conditions, and what it makes of the packets that meet them. */
export interface PolicyStep {
  readonly rule: CompiledRule;
  /** The same where a rule of OUTPUT makes the kernel look for a way again: it does not look at ports then. */
  readonly again: CompiledRule;
  /** Whether it is for the packets that do not meet the conditions. */
  readonly negated: boolean;
  readonly action:
    | { readonly kind: "table"; readonly classes: readonly RouteClass[]; readonly unknown: string | undefined }
    /** Place of the step; one behind the last where there is none. */
    | { readonly kind: "goto"; readonly step: number }
    | { readonly kind: "refuse"; readonly way: RouteClass };
}

export function compilePolicy(space: AddressSpace, state: HostState): readonly PolicyStep[] {
  const rules = policyOf(state, space.family);
  return rules.map((rule, place): PolicyStep => {
    const placed = {
      ...{ table: "ip", chain: "rule", number: rule.priority },
      rule: { matches: [], target: { kind: "none" as const } },
    };
    const compiled = (conditions: readonly Condition[]): CompiledRule => ({
      placed,
      conditions,
      target: { kind: "none" },
    });
    const conditions = conditionsOf(space, rule);
    const header = headerConditions(rule);
    return {
      rule: compiled([...conditions, ...header]),
      again: compiled([...conditions, ...(header.length === 0 ? [] : NEVER)]),
      negated: rule.not === true,
      action: actionOf(space, { state, rules, rule, place }),
    };
  });
}

function actionOf(
  space: AddressSpace,
  { state, rules, rule, place }: { state: HostState; rules: readonly PolicyRule[]; rule: PolicyRule; place: number },
): PolicyStep["action"] {
  const { action } = rule;
  switch (action.kind) {
    case "nop":
      return { kind: "goto", step: place + 1 };
    case "goto": {
      const target = rules.findIndex(({ priority }, at) => at > place && priority === action.priority);
      return { kind: "goto", step: target < 0 ? place + 1 : target };
    }
    case "table": {
      const unknown =
        action.suppressUnknown === undefined ? undefined : `ip rule ${rule.priority} has \`${action.suppressUnknown}\``;
      return { kind: "table", classes: tableClasses(space, state, action), unknown };
    }
    case "unreachable":
    case "prohibit":
    case "blackhole": {
      const destination = { address: space.addressAt(0), prefixLength: 0 };
      const route = { destination, type: action.kind, metric: 0, table: "" };
      return { kind: "refuse", way: { destinations: space.everything, route } };
    }
  }
}

function conditionsOf(space: AddressSpace, rule: PolicyRule): readonly Condition[] {
  const { from, to, mark, tos, inInterface, outInterface, unknown } = rule;
  const open: OpenQuestion = {
    text: `ip rule ${rule.priority}${unknown === undefined ? "" : ` (${unknown})`}`,
    reads: ["address", "port", "mark", "tos", "interface"],
    isVolatile: false,
  };
  const conditions: Condition[] = [];
  for (const [field, cidr] of [
    ["source", from],
    ["destination", to],
  ] as const) {
    if (cidr === undefined || familyOf(cidr.address) !== space.family) continue;
    conditions.push({ kind: "field", field, set: space.setOf(cidr) });
  }
  if (mark !== undefined) {
    const value = (mark.value & mark.mask) >>> 0;
    conditions.push({ kind: "mark", cube: { care: mark.mask, value }, negated: false });
  }
  if (tos !== undefined)
    conditions.push({ kind: "tos", cube: { care: tos.mask, value: tos.value }, negated: false, open });
  if (inInterface === "lo") conditions.push({ kind: "local", whenLocal: true, whenArriving: false, open });
  else if (inInterface !== undefined)
    conditions.push({ kind: "inDevices", names: new Set([inInterface]), negated: false });
  // `oif` selects sockets bound to a device.
  if (outInterface !== undefined) conditions.push(...NEVER);
  if (unknown !== undefined) conditions.push({ kind: "unknown", open });
  return conditions;
}

function headerConditions({ protocol, sourcePorts, destinationPorts }: PolicyRule): readonly Condition[] {
  const conditions: Condition[] = [];
  const number = protocol === undefined ? undefined : protocolNumber(protocol);
  if (protocol !== undefined) conditions.push(entered("protocol", singleSet(number ?? 0), false, ALL_PROTOCOLS));
  if (sourcePorts !== undefined) conditions.push({ kind: "field", field: "sourcePort", set: portSet(sourcePorts) });
  if (destinationPorts !== undefined)
    conditions.push({ kind: "field", field: "destinationPort", set: portSet(destinationPorts) });
  return conditions;
}
