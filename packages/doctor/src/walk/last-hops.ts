import { type StepJson, type Trace, traceToJson } from "@svcproxy/rules";
import { InputError, type IpAddress } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";

/** So many are told: where a packet came to its end is of interest, not all that it passed. */
const MOST_HOPS = 6;

/**
 * The end of the way that a new TCP connection takes through a host's rules, on paper: hooks and the rules that took it, a line each,
 * and where it goes. Where there are several ways, the first. Empty where no way can be followed.
 */
export function lastHopsTowards(
  at: ObservedHost,
  { from, to, port }: { readonly from: IpAddress | undefined; readonly to: IpAddress; readonly port: number },
): readonly string[] {
  if (from === undefined) return [];
  try {
    const trace = at.tracer(to.includes(":") ? 6 : 4)?.trace({ from, to, port, protocol: "tcp" });
    return trace === undefined ? [] : lastHops(trace);
  } catch (error) {
    // No such client comes in here.
    if (error instanceof InputError) return [];
    throw error;
  }
}

export function lastHops(trace: Trace): readonly string[] {
  const { branches } = traceToJson(trace);
  const [branch] = branches;
  if (branch === undefined) return [];
  const hops = branch.steps.flatMap(hopOf);
  const left = Math.max(0, hops.length - MOST_HOPS);
  return [...(left === 0 ? [] : [`… ${left} before`]), ...hops.slice(left), branch.because];
}

function hopOf(step: StepJson): readonly string[] {
  switch (step.kind) {
    case "hook":
      return [`${step.hook}: ${step.source} to ${step.destination}`];
    case "rule":
      return step.matched ? [`rule ${step.number} of ${step.table} ${step.chain}: ${step.rule}`] : [];
    case "note":
    case "misses":
    case "chainEnd":
      return [];
  }
}
