import { type AnyRule, type Ending, type Past, ruleCounters, type StepJson, type WalkState } from "@svcproxy/rules";
import type { RulePlace, StopReason } from "./stop.ts";

type RuleStep = Extract<StepJson, { readonly kind: "rule" }>;

export function rulePlace({ table, chain, number, rule }: RuleStep, counted: AnyRule | undefined): RulePlace {
  const packets = counted === undefined ? undefined : ruleCounters(counted)?.packets;
  return { table, chain, number, text: rule, ...(packets === undefined ? {} : { packets: Number(packets) }) };
}

/** What ended a way that was dropped or refused: a fact of the host, a policy, or the last rule that took it. */
export function stopOfEnding({
  ending,
  state,
  steps,
}: {
  readonly ending: Ending;
  readonly state: WalkState | undefined;
  readonly steps: readonly StepJson[];
}): StopReason {
  const because = ending.kind === "delivered" ? "" : ending.because;
  if ((ending.kind === "dropped" || ending.kind === "refused") && ending.fact !== undefined) {
    const destination = state?.packet.destination ?? destinationOf(steps);
    return { kind: "fact", fact: ending.fact, because, destination };
  }
  const last = steps.at(-1);
  if (last?.kind === "chainEnd" && last.policy === "DROP")
    return { kind: "policy", table: last.table, chain: last.chain, does: "drops" };
  const place = lastRule(steps, state?.past);
  if (place === undefined) return { kind: "otherwise", text: because };
  if (isProxyPlace(place)) return { kind: "otherwise", text: because, place };
  return { kind: "rule", place, does: ending.kind === "refused" ? "refuses" : "drops" };
}

function destinationOf(steps: readonly StepJson[]): string {
  const hook = steps.findLast((step) => step.kind === "hook");
  return hook?.kind === "hook" ? hook.destination.replace(/:\d+$/, "") : "";
}

export function lastRule(steps: readonly StepJson[], past?: Past): RulePlace | undefined {
  const step = steps.findLast((one) => one.kind === "rule" && one.matched);
  if (step?.kind !== "rule") return undefined;
  for (let node = past; node !== undefined; node = node.earlier) {
    const { event } = node;
    if (event.kind === "rule" && event.chain === step.chain && event.number === step.number)
      return rulePlace(step, event.rule);
  }
  return rulePlace(step, undefined);
}

/** The rule that kept connection tracking, and so every translation, from a packet. */
export function untrackingRule(steps: readonly StepJson[], packet: WalkState["packet"]): RulePlace | undefined {
  if (packet.connection?.state !== "UNTRACKED") return undefined;
  const step = steps.find(
    (one) => one.kind === "rule" && one.matched && /\bnotrack\b/i.test(one.rule.replaceAll(/"[^"]*"/g, "")),
  );
  return step?.kind === "rule" && !isProxyPlace(step) ? rulePlace(step, undefined) : undefined;
}

/** The last chain of a service proxy that was asked. */
export function lastProxyChain(steps: readonly StepJson[]): RulePlace | undefined {
  const step = steps.findLast((one) => one.kind === "rule" && one.matched && isProxyPlace(one));
  return step?.kind === "rule" ? rulePlace(step, undefined) : undefined;
}

/** Rules of svcproxy, or of kube-proxy. */
export function isProxyPlace({ table, chain }: { readonly table: string; readonly chain: string }): boolean {
  return /^KUBE-(?!NWPLCY|ROUTER|POD-FW)/.test(chain) || /^(ip6? )?(svcproxy|kube-proxy)$/.test(table);
}

export function isProxyChain({ name }: { readonly name: string }): boolean {
  return isProxyPlace({ table: "", chain: name });
}
