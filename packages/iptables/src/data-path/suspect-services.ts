import { serviceName } from "@svcproxy/host";
import { formatRule } from "@svcproxy/rules";
import type { HostPlan } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";

/** A line that more services share belongs to none in particular. */
const MAX_SUSPECTS = 8;

/** The services whose own rules have a line of restore input: those that a refused line belongs to. */
export function suspectServices(
  line: string,
  plan: HostPlan,
  compile: (plan: HostPlan) => readonly DesiredRules[],
): readonly string[] {
  const wanted = wordsOf(line);
  const has = (part: Pick<HostPlan, "ports" | "healthChecks">) => linesOf(compile({ ...plan, ...part })).has(wanted);
  if (has({ ports: [], healthChecks: [] })) return [];
  const checks = Map.groupBy(plan.healthChecks, serviceName);
  const found = [...Map.groupBy(plan.ports, serviceName)].flatMap(([name, ports]) =>
    has({ ports, healthChecks: checks.get(name) ?? [] }) ? [name] : [],
  );
  return found.length > MAX_SUSPECTS ? [] : found;
}

/** Without the chain that a rule stands in: among many services it is another one than alone. */
function wordsOf(line: string): string {
  return line.replace(/^-[ACDIR] \S+ /, "");
}

function linesOf(rules: readonly DesiredRules[]): ReadonlySet<string> {
  return new Set(
    rules.flatMap(({ family, tables }) =>
      tables.flatMap(({ chains }) =>
        chains.flatMap(({ name, rules: own }) => [
          `:${name} - [0:0]`,
          ...own.map((rule) => formatRule(rule, { style: "restore", family })),
        ]),
      ),
    ),
  );
}
