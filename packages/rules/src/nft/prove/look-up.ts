import { onlyMember } from "../../prove/space/index-set.ts";
import type { SymbolicState } from "../../prove/walk/symbolic-state.ts";
import { type AskedNft, askConditions } from "./asked-nft.ts";
import { constantPart, type LookupReading, type PartReading, type Reading } from "./compiled-nft.ts";
import { dividePart } from "./divide-part.ts";
import { type Found, lookUpDynamic } from "./look-up-dynamic.ts";
import type { LookupNode, LookupTree } from "./lookup-tree.ts";

export function lookUp(asked: AskedNft, state: SymbolicState, lookup: LookupReading): readonly Found[] {
  const { unread, dynamic, name } = lookup;
  if (unread !== undefined) return [{ kind: "undecided", state, because: unread }];
  return keysOf(asked, state, lookup.key).flatMap((key): readonly Found[] => {
    if (key.kind !== "key") return [key];
    if (dynamic !== undefined) return lookUpDynamic(asked, key.state, { set: dynamic, parts: key.parts });
    // Parts of which there is one value leave least of the others to look at.
    const order = byValues(key.state, key.parts);
    if (order === undefined) return inTree(asked, key.state, { parts: key.parts, tree: lookup.tree, name });
    const parts = order.flatMap((place) => key.parts[place] ?? []);
    return inTree(asked, key.state, { parts, tree: lookup.treeBy(order), name });
  });
}

type Keyed =
  | { readonly kind: "key"; readonly state: SymbolicState; readonly parts: readonly PartReading[] }
  | Extract<Found, { kind: "none" | "undecided" }>;

/** The parts of a key, once what must hold for them holds. */
export function keysOf(asked: AskedNft, state: SymbolicState, key: Reading): readonly Keyed[] {
  if (key.kind === "parts") {
    if (key.conditions.length === 0) return [{ kind: "key", state, parts: key.parts }];
    const { taken, passed } = askConditions(asked, state, key.conditions);
    const none = passed.map((one): Keyed => ({ kind: "none", state: one }));
    return taken === undefined ? none : [{ kind: "key", state: taken, parts: key.parts }, ...none];
  }
  return lookUp(asked, state, key).map((found): Keyed => {
    switch (found.kind) {
      case "found": {
        const { data } = found;
        if (data?.kind !== "value")
          return { kind: "undecided", state: found.state, because: `${key.name} gives no value` };
        return { kind: "key", state: found.state, parts: data.parts.map(constantPart) };
      }
      case "missing":
        return { kind: "none", state: found.state };
      default:
        return found;
    }
  });
}

/** The places of a key's parts: first those that have one value for all packets of a state. Undefined: as they stand. */
function byValues(state: SymbolicState, parts: readonly PartReading[]): readonly number[] | undefined {
  if (parts.length === 1) return undefined;
  const single: number[] = [];
  const others: number[] = [];
  let isSorted = true;
  for (const [place, part] of parts.entries()) {
    const isOne = hasOneValue(state, part);
    if (isOne && others.length > 0) isSorted = false;
    (isOne ? single : others).push(place);
  }
  return isSorted ? undefined : [...single, ...others];
}

function hasOneValue(state: SymbolicState, part: PartReading): boolean {
  const { region, refusal } = state;
  switch (part.kind) {
    case "field": {
      const now = state[part.field];
      return typeof now === "number" || (now !== "unknown" && onlyMember(region[now]) !== undefined);
    }
    case "entered":
      return part.field === "protocol" && (refusal !== undefined || onlyMember(region.protocol) !== undefined);
    case "priority":
    case "datum":
    case "outInterface":
      return true;
    default:
      return false;
  }
}

interface InTree {
  readonly parts: readonly PartReading[];
  readonly tree: LookupTree;
  readonly name: string;
}

function inTree(asked: AskedNft, state: SymbolicState, { parts, tree, name }: InTree): readonly Found[] {
  const { root, catchAll } = tree;
  const missing = (one: SymbolicState): Found => {
    if (root?.isPartial === true)
      return { kind: "undecided", state: one, because: `not all elements of ${name} are understood` };
    return catchAll === undefined
      ? { kind: "missing", state: one }
      : { kind: "found", state: one, data: catchAll.data };
  };
  if (root === undefined) return [missing(state)];
  const found: Found[] = [];
  const work: { readonly state: SymbolicState; readonly node: LookupNode; readonly depth: number }[] = [
    { state, node: root, depth: 0 },
  ];
  for (let job = work.pop(); job !== undefined; job = work.pop()) {
    const part = parts[job.depth];
    if (part === undefined) {
      found.push({ kind: "undecided", state: job.state, because: `the keys of ${name} have other parts` });
      continue;
    }
    asked.context.count();
    for (const { state: one, group } of dividePart(asked, job.state, { part, node: job.node })) {
      if (group === "none") found.push(missing(one));
      else if (group === "unknown")
        found.push({ kind: "undecided", state: one, because: `what ${name} has for it is not known` });
      else {
        const next = job.node.groups[group];
        if (next?.kind === "node") work.push({ state: one, node: next.node, depth: job.depth + 1 });
        else found.push({ kind: "found", state: one, data: next?.data });
      }
    }
  }
  return found;
}
