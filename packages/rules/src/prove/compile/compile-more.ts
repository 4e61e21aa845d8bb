import type { DeviceGroup, Match } from "../../match.ts";
import type { MoreMatch } from "../../text/more-matches.ts";
import { type CompileContext, type Condition, NEVER, type OpenQuestion } from "./condition.ts";

/** The conditions of the modules with few options. */
export function compileMore(match: MoreMatch, context: CompileContext, open: OpenQuestion): readonly Condition[] {
  const { host, view } = context;
  const unknown: readonly Condition[] = [{ kind: "unknown", open }];
  switch (match.kind) {
    case "pkttype": {
      const destinations = host.typeSet(match.type === "multicast" ? "MULTICAST" : "BROADCAST");
      return [{ kind: "frame", destinations, isUnicast: match.type === "unicast", negated: match.negated }];
    }
    case "helper":
      return [{ kind: "firstOnly", holdsForFirst: match.negated, holdsUntracked: match.negated, open }];
    case "devgroup":
      return [
        ...ofGroup(match.source, "inDevices", { context, unknown }),
        ...ofGroup(match.destination, "outDevices", { context, unknown }),
      ];
    case "connbytes": {
      const first = firstCarried(match);
      if (first === undefined) return unknown;
      const isWithin = first >= match.from && first <= (match.to ?? Number.POSITIVE_INFINITY);
      return [{ kind: "firstOnly", holdsForFirst: isWithin !== match.negated, holdsUntracked: false, open }];
    }
    case "policy":
      if (view.state.usesIpsec !== false) return unknown;
      return match.policy === "none" ? [] : NEVER;
    case "nfacct":
      return view.state.quotas?.includes(match.name) === true ? unknown : [];
    case "connlabel":
      return compileLabel(match, context, open);
    case "tos":
    case "dscp": {
      const { value, mask } = match.kind === "tos" ? match : { value: match.value << 2, mask: 0xfc };
      if ((value & ~mask) !== 0) return match.negated ? [] : NEVER;
      return [{ kind: "tos", cube: { care: mask, value }, negated: match.negated, open }];
    }
  }
}

/** What a connection's first packet has carried; undefined: that hangs on its length. */
function firstCarried({ direction, unit }: Extract<Match, { kind: "connbytes" }>): number | undefined {
  if (direction === "reply") return 0;
  return unit === "packets" ? 1 : undefined;
}

function ofGroup(
  wanted: DeviceGroup | undefined,
  kind: "inDevices" | "outDevices",
  { context, unknown }: { context: CompileContext; unknown: readonly Condition[] },
): readonly Condition[] {
  if (wanted === undefined) return [];
  const { interfaces } = context.view.state;
  const { value, mask, negated } = wanted;
  if (value === undefined || interfaces.some(({ group }) => typeof group === "string")) return unknown;
  const isOf = (group: number) => (group & mask) >>> 0 === value;
  // What comes by no interface, or leaves by none, counts as of group 0.
  const names = interfaces.flatMap(({ name, group }) => (typeof group !== "string" && isOf(group ?? 0) ? [name] : []));
  return [{ kind, names: new Set([...names, ...(isOf(0) ? [""] : [])]), negated }];
}

function compileLabel(
  { label, set, negated }: Extract<Match, { kind: "connlabel" }>,
  { labelsSet }: CompileContext,
  open: OpenQuestion,
): readonly Condition[] {
  // It is given before `!` turns the answer round; without a connection there is nothing to give it to.
  if (set)
    return [
      { kind: "deed", text: `connlabel ${label}` },
      { kind: "hasConnection", holds: !negated, otherwise: negated },
    ];
  // Where a rule gives the label, whether it did is not followed.
  if (labelsSet.has(label)) return [{ kind: "unknown", open: { ...open, isVolatile: true } }];
  return [{ kind: "firstOnly", holdsForFirst: negated, holdsUntracked: negated, open }];
}
