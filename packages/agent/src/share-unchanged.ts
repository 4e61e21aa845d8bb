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
  const hosts = shareEach(after.hosts, { before: before.hosts, keyOf: ({ name }) => name });
  const services = shareEach(after.services, { before: before.services, keyOf: serviceKey });
  const isShared = after.source === before.source && hosts === before.hosts && node === before.node;
  const topology = isShared && services === before.services ? before : { ...after, hosts, services, node };
  const everything = after.source !== before.source || node !== before.node || !isSameForServices(hosts, before.hosts);
  return { topology, changed: everything ? "everything" : changedServices(services, before.services) };
}

export function serviceKey({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}

/** The very array of before where nothing in it is otherwise. */
function shareEach<T>(
  after: readonly T[],
  { before, keyOf }: { before: readonly T[]; keyOf: (item: T) => string },
): readonly T[] {
  if (after === before) return before;
  // Most of thousands are the very same already, each in its place.
  const rest = before.filter((item, index) => item !== after[index]);
  const known = new Map(rest.map((item) => [keyOf(item), item]));
  const shared = after.map((item, index) => {
    if (item === before[index]) return item;
    const old = known.get(keyOf(item));
    return old !== undefined && isDeepStrictEqual(item, old) ? old : item;
  });
  return shared.length === before.length && shared.every((item, index) => item === before[index]) ? before : shared;
}

/** A pod that came or went is in the services that it serves; all else of a host may count for every service. */
function isSameForServices(after: readonly Host[], before: readonly Host[]): boolean {
  if (after === before) return true;
  const withoutPods = ({ pods: _, ...host }: Host) => host;
  return isDeepStrictEqual(after.map(withoutPods), before.map(withoutPods));
}

function changedServices(after: readonly Service[], before: readonly Service[]): ReadonlySet<string> {
  if (after === before) return new Set();
  // Most of thousands are in their place.
  const gone = new Set(before.filter((service, index) => service !== after[index]));
  const come = new Set(after.filter((service, index) => service !== before[index]));
  const differing = [...[...gone].filter((one) => !come.has(one)), ...[...come].filter((one) => !gone.has(one))];
  return new Set(differing.map(serviceKey));
}
