import type { Family } from "@svcproxy/topology";

/** How many of something there are of each family. */
export type FamilyCounts = Readonly<Record<Family, number>>;

export const NO_COUNTS: FamilyCounts = { 4: 0, 6: 0 };

/** The sum, family by family. */
export function addCounts(counts: FamilyCounts, more: FamilyCounts): FamilyCounts {
  return { 4: counts[4] + more[4], 6: counts[6] + more[6] };
}

/** Of both families together. */
export function totalCount(counts: FamilyCounts): number {
  return counts[4] + counts[6];
}
