import { keptList } from "@svcproxy/topology";
import { endpointsOf, stickyEndpointsOf } from "../compile/collections.ts";
import { type Picking, pickingChainName } from "../compile/picking-chains.ts";
import { isExternalLocal, type WantedGroup, type WantedPort } from "../compile/wanted-port.ts";
import { classid } from "../table/classid.ts";
import { type Element, element } from "../table/nft-table.ts";
import { NumberPool } from "./number-pool.ts";

/** The numbers of a group, and what they stand for. */
export interface NumberedGroup {
  readonly number: number;
  /** By their number in the draw. */
  readonly endpoints: readonly string[];
  /** With session affinity, the slot of each endpoint. */
  readonly slots: readonly number[];
  /** The slot that was given last; 0: none was. */
  readonly lastSlot: number;
}

export interface NumberedPort {
  readonly cluster: NumberedGroup | undefined;
  readonly local: NumberedGroup | undefined;
}

/** What is known of a group's numbers, some of which may stand for nothing. */
export interface OldGroup {
  readonly number: number;
  readonly endpoints: readonly (string | undefined)[];
  readonly slots: readonly (number | undefined)[];
  /** The slot that was given last, as far as it is known. */
  readonly lastSlot: number;
}

/**
 * Numbers a group, with as few changes to its old numbers as can be: an endpoint that stays keeps its number, unless it has to fill the
 * place of one that went.
 *
 * @returns undefined where there is no number for the group, or not one for each slot
 */
export function numberGroup(
  { endpoints: wanted, timeoutSeconds }: WantedGroup,
  { old, pool }: { readonly old: OldGroup | undefined; readonly pool: NumberPool },
): NumberedGroup | undefined {
  const endpoints = arrange(old?.endpoints ?? [], wanted);
  const given =
    timeoutSeconds === undefined ? { slots: NO_SLOTS, lastSlot: old?.lastSlot ?? 0 } : giveSlots(endpoints, old);
  if (given === undefined) return undefined;
  const number = old?.number ?? pool.take();
  return number === undefined ? undefined : { number, endpoints, ...given };
}

const NO_SLOTS: readonly number[] = [];

/** Those of `wanted`, each at its old place where that is still one; the others fill what is left. */
function arrange(old: readonly (string | undefined)[], wanted: readonly string[]): readonly string[] {
  if (old.length === 0) return wanted;
  const unplaced = new Set(wanted);
  const kept = Array.from(wanted, (_, index) => {
    const endpoint = old[index];
    return endpoint !== undefined && unplaced.delete(endpoint) ? endpoint : undefined;
  });
  const rest = unplaced.values();
  return keptList(kept.flatMap((endpoint) => endpoint ?? rest.next().value ?? []));
}

function giveSlots(
  endpoints: readonly string[],
  old: OldGroup | undefined,
): Pick<NumberedGroup, "slots" | "lastSlot"> | undefined {
  const known = new Map<string, number>();
  for (const [index, endpoint] of (old?.endpoints ?? []).entries()) {
    const slot = old?.slots[index];
    if (endpoint !== undefined && slot !== undefined && !known.has(endpoint)) known.set(endpoint, slot);
  }
  let lastSlot = old?.lastSlot ?? 0;
  const pool = new NumberPool(known.values(), lastSlot);
  const slots: number[] = [];
  for (const endpoint of endpoints) {
    let slot = known.get(endpoint);
    if (slot === undefined) {
      slot = pool.take();
      if (slot === undefined) return undefined;
      lastSlot = slot;
    }
    slots.push(slot);
  }
  return { slots, lastSlot };
}

/** Everything that the table holds for a port. */
export function portElements(port: WantedPort, numbers: NumberedPort): readonly Element[] {
  const elements: Element[] = [...port.elements];
  const note = elementComment(port);
  for (const { collection, key, kind, group } of port.frontends) {
    const number = numbers[group]?.number;
    if (number !== undefined) elements.push(element(collection, key, classid(number, kind), note));
  }
  const { cluster, local } = numbers;
  if (port.cluster !== undefined && cluster !== undefined) addGroup(elements, port.cluster, cluster);
  if (port.local !== undefined && local !== undefined) {
    addGroup(elements, port.local, local);
    // Where none of its endpoints is here, others are met by silence.
    const isSplit = cluster !== undefined && port.frontends.some(({ kind }) => isExternalLocal(kind));
    if (isSplit && local.endpoints.length > 0) {
      elements.push(element("local-groups", classid(cluster.number, 0), classid(local.number, 0)));
    }
  }
  return elements;
}

function addGroup(elements: Element[], wanted: WantedGroup, { number, endpoints, slots }: NumberedGroup): void {
  const { protocol } = wanted;
  const key = classid(number, 0);
  const picking = pickingOf(wanted);
  if (picking === undefined) return;
  elements.push(element("groups", key, `goto ${pickingChainName(picking)}`));
  const [anew, sticky] = [endpointsOf(protocol), stickyEndpointsOf(protocol)];
  endpoints.forEach((endpoint, index) => {
    const slot = slots[index];
    if (slot === undefined) {
      elements.push(element(anew, `${key} . ${index}`, endpoint));
      return;
    }
    const place = classid(number, slot);
    elements.push(
      element("slots", `${key} . ${index}`, place),
      element("usable-slots", place),
      element(sticky, place, endpoint),
    );
  });
}

/** @returns undefined where there is nothing to pick from */
export function pickingOf({ protocol, timeoutSeconds, endpoints }: WantedGroup): Picking | undefined {
  const count = endpoints.length;
  if (count === 0) return undefined;
  return timeoutSeconds === undefined ? { kind: "anew", protocol, count } : { kind: "sticky", timeoutSeconds, count };
}

/** What nft takes for an element's comment: it has no way to write a double quote, and no more room. */
const MAX_COMMENT_BYTES = 120;

/** Says whose an element is: `default/web http`. */
function elementComment({ service, plan: { port } }: WantedPort): string {
  const text = port.name === "" ? service : `${service} ${port.name}`;
  // Names from a file may hold anything, so what is not plain is left out: one character then is one byte.
  return text.replace(/[^A-Za-z0-9 ._/-]/g, "?").slice(0, MAX_COMMENT_BYTES);
}
