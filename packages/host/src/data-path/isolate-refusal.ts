import type { EnvironmentError, HostPlan, Problem } from "@svcproxy/topology";
import { composePlan, servicesOf } from "./compose-plan.ts";
import { serviceName } from "./service-port-statuses.ts";

/** How often a plan is tried to find the services that the kernel refuses: for three of 5,000, and some more. */
const MAX_ATTEMPTS = 48;

export interface IsolateOptions {
  /** What the machine has, as far as it is known: what stays of a service that is refused. */
  readonly good: HostPlan | undefined;
  /** Makes the machine keep a plan, all of it or nothing. @throws EnvironmentError */
  readonly attempt: (plan: HostPlan) => Promise<void>;
  /** The kernel's refusal that an error of `attempt` came from; undefined where asking for less would not help. */
  readonly refusal: (error: unknown) => Refusal | undefined;
}

export interface Refusal {
  readonly error: EnvironmentError;
  /** The services of the plan that what was refused belongs to; none where it cannot be told. */
  readonly suspects: (plan: HostPlan) => readonly string[];
}

export interface Isolated {
  /** What the machine keeps now. */
  readonly plan: HostPlan;
  /** Why services (`namespace/name`) of the plan that was asked for are not as it has them. */
  readonly failures: ReadonlyMap<string, Problem>;
}

/**
 * Carries out as much of a plan as the kernel takes: a service that it refuses stays as it was.
 *
 * @throws EnvironmentError where no service is the reason, or every one is
 */
export async function isolateRefusal(plan: HostPlan, options: IsolateOptions): Promise<Isolated> {
  const { good, attempt, refusal } = options;
  const failures = new Map<string, Problem>();
  for (;;) {
    const rest = failures.size === 0 ? plan : composePlan(plan, { other: good, isOther: (name) => failures.has(name) });
    try {
      await attempt(rest);
      return { plan: rest, failures };
    } catch (error) {
      const refused = refusal(error);
      if (refused === undefined) throw error;
      const found = refused.suspects(rest).filter((name) => !failures.has(name));
      if (found.length === 0) return await searchRefused(plan, { ...options, failures, error });
      for (const name of found) failures.set(name, serviceProblem(name, refused.error));
      if (failures.size === servicesOf(plan).length) throw error;
    }
  }
}

/** By halves: what goes in stays, what does not is divided. */
async function searchRefused(
  plan: HostPlan,
  { good, attempt, refusal, failures, error }: IsolateOptions & { failures: Map<string, Problem>; error: unknown },
): Promise<Isolated> {
  const candidates = servicesThatDiffer(plan, good).filter((name) => !failures.has(name));
  const rejected = new Set([...candidates, ...failures.keys()]);
  const composed = () => composePlan(plan, { other: good, isOther: (name) => rejected.has(name) });
  // Where the kernel refuses what it has, no service is the reason.
  await attempt(composed());
  let last = error;
  const groups = candidates.length > 1 ? halves(candidates) : [candidates];
  for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
    const group = groups.shift();
    if (group === undefined) break;
    for (const name of group) rejected.delete(name);
    try {
      await attempt(composed());
    } catch (cause) {
      const refused = refusal(cause);
      if (refused === undefined) throw cause;
      last = cause;
      for (const name of group) rejected.add(name);
      if (group.length > 1) groups.push(...halves(group));
      else for (const name of group) failures.set(name, serviceProblem(name, refused.error));
    }
  }
  // One service may be to blame for itself; all that is new is not.
  if (candidates.length > 1 && candidates.every((name) => rejected.has(name))) throw last;
  for (const name of rejected) {
    if (!failures.has(name)) failures.set(name, serviceProblem(name, refusal(last)?.error));
  }
  return { plan: composed(), failures };
}

function servicesThatDiffer(plan: HostPlan, good: HostPlan | undefined): readonly string[] {
  const last = Map.groupBy(good?.ports ?? [], serviceName);
  return [...Map.groupBy(plan.ports, serviceName)].flatMap(([name, ports]) => {
    const before = last.get(name) ?? [];
    const isSame =
      ports.length === before.length &&
      ports.every((port, index) => port === before[index] || JSON.stringify(port) === JSON.stringify(before[index]));
    return isSame ? [] : [name];
  });
}

function halves(group: readonly string[]): (readonly string[])[] {
  const middle = Math.ceil(group.length / 2);
  return [group.slice(0, middle), group.slice(middle)].filter((half) => half.length > 0);
}

/** Why a service is not as it was asked for. */
export function serviceProblem(service: string, error: EnvironmentError | undefined): Problem {
  return {
    code: error?.code ?? "RESTORE_REFUSED",
    severity: "error",
    subject: `service ${service}`,
    text: `Service ${service} stays as it was: ${error?.message ?? "the kernel refused something near it"}`,
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
  };
}
