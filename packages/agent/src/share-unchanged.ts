import { isDeepStrictEqual } from "node:util";
import type { Host, Service, Topology } from "@svcproxy/topology";
import type { ChangedServices } from "./source.ts";

export interface SharedTopology {
  readonly topology: Topology;
  readonly changed: ChangedServices;
}

/**
 * A topology with each host, service and setting that is as it was in `before` replaced by the object from there, so that
 * whoever compares objects knows what to do again, and what nobody has to look at is kept once.
 */
export function shareUnchanged(after: Topology, before: Topology | undefined): SharedTopology {
  if (before === undefined) return { topology: after, changed: "everything" };
  const node = isDeepStrictEqual(after.node, before.node) ? before.node : after.node;
  const { items: hosts } = shareEach(after.hosts, { before: before.hosts, keyOf: ({ name }) => name });
  const { items: services, places } = shareEach(after.services, { before: before.services, keyOf: serviceKey });
  const isShared = after.source === before.source && hosts === before.hosts && node === before.node;
  const topology = isShared && services === before.services ? before : { ...after, hosts, services, node };
  const everything = after.source !== before.source || node !== before.node || !isSameForServices(hosts, before.hosts);
  return { topology, changed: everything ? "everything" : changedServices(places, services, before.services) };
}

export function serviceKey({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}

/** A list in which what is as before is the object from there. */
interface SharedList<T> {
  /** The very array of before where nothing in it is otherwise. */
  readonly items: readonly T[];
  /** Where it may hold another object than the one before: nowhere else. */
  readonly places: readonly number[];
}

function shareEach<T>(
  after: readonly T[],
  { before, keyOf }: { before: readonly T[]; keyOf: (item: T) => string },
): SharedList<T> {
  const places = after === before ? [] : otherPlaces(after, before);
  if (places.length === 0) return { items: before, places };
  const rest = places.flatMap((place) => before[place] ?? []);
  const known = new Map(rest.map((item) => [keyOf(item), item]));
  let copy: T[] | undefined;
  let isSame = after.length === before.length;
  for (const place of places) {
    const item = after[place];
    if (item === undefined) continue;
    const old = known.get(keyOf(item));
    const isKept = old !== undefined && isDeepStrictEqual(item, old);
    if (isKept) {
      // Only where it has to be: what a source tells as otherwise is otherwise, as a rule.
      copy ??= after.slice();
      copy[place] = old;
    }
    isSame &&= isKept && old === before[place];
  }
  return isSame ? { items: before, places: [] } : { items: copy ?? after, places };
}

/** Where two lists hold another object. A plain loop: most of thousands are in their place, and this is gone through with each change. */
function otherPlaces(after: readonly unknown[], before: readonly unknown[]): readonly number[] {
  const places: number[] = [];
  for (let place = 0; place < Math.max(after.length, before.length); place++) {
    if (after[place] !== before[place]) places.push(place);
  }
  return places;
}

/** A pod that came or went is in the services that it serves; all else of a host may count for every service. */
function isSameForServices(after: readonly Host[], before: readonly Host[]): boolean {
  if (after === before) return true;
  const withoutPods = ({ pods: _, ...host }: Host) => host;
  return isDeepStrictEqual(after.map(withoutPods), before.map(withoutPods));
}

function changedServices(
  places: readonly number[],
  after: readonly Service[],
  before: readonly Service[],
): ReadonlySet<string> {
  const gone = new Set(places.flatMap((place) => before[place] ?? []));
  const come = new Set(places.flatMap((place) => after[place] ?? []));
  const differing = [...[...gone].filter((one) => !come.has(one)), ...[...come].filter((one) => !gone.has(one))];
  return new Set(differing.map(serviceKey));
}
