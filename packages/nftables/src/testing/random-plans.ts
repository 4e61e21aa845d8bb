import type { HostPlan } from "@svcproxy/topology";
import { RandomCluster, randomSource } from "./random-cluster.ts";

/** The plans of a random cluster, one after the other; equal seeds give equal plans. */
export interface RandomPlans {
  /** The next one, and the services that changed since the last; undefined: more than that. */
  next(): { readonly plan: HostPlan; readonly changed: ReadonlySet<string> | undefined };
}

export function randomPlans(seed: number): RandomPlans {
  const cluster = new RandomCluster(randomSource(seed), { services: 10 });
  let isFirst = true;
  return {
    next() {
      const changed = isFirst ? undefined : cluster.step();
      isFirst = false;
      return { plan: cluster.plan(), changed };
    },
  };
}

/** The plan of a step, counted from 0; from here `next` goes on. */
export function planAfter(plans: RandomPlans, step: number): HostPlan {
  let { plan } = plans.next();
  for (let each = 0; each < step; each++) ({ plan } = plans.next());
  return plan;
}
