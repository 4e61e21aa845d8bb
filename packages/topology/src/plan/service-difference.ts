import type { Service } from "../model.ts";

/** Services that are not in both of two topologies; one that is another object in each is in both lists. */
export interface ServiceDifference {
  readonly gone: readonly Service[];
  readonly come: readonly Service[];
  /** Where each of `come` stands, in rising order, where each took the place of the one that it was; undefined: others moved as well. */
  readonly places: readonly number[] | undefined;
}

const NO_DIFFERENCE: ServiceDifference = { gone: [], come: [], places: [] };

export function differenceOf(before: readonly Service[], after: readonly Service[]): ServiceDifference {
  if (before === after) return NO_DIFFERENCE;
  const [gone, come, places] = [new Set<Service>(), new Set<Service>(), [] as number[]];
  let isInPlace = before.length === after.length;
  // A plain loop that makes no object: most of thousands are in their place, and this is gone through with each change.
  for (let place = 0; place < Math.max(before.length, after.length); place++) {
    if (before[place] === after[place]) continue;
    const [was, is] = [before[place], after[place]];
    if (was !== undefined) gone.add(was);
    if (is !== undefined) come.add(is);
    places.push(place);
    isInPlace &&= was !== undefined && is !== undefined && was.name === is.name && was.namespace === is.namespace;
  }
  if (isInPlace) return { gone: [...gone], come: [...come], places };
  return {
    gone: [...gone].filter((service) => !come.has(service)),
    come: [...come].filter((service) => !gone.has(service)),
    places: undefined,
  };
}

/** `namespace/name`. */
export function keyOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}
