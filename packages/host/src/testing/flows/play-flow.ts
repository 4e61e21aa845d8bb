import type { Family } from "@svcproxy/topology";
import type { Flow, FlowExpectation } from "./flow.ts";
import type { Answer } from "./flow-agent.ts";
import { edgeOf, flowAddress } from "./flow-places.ts";
import type { FlowSubject } from "./flow-subject.ts";
import { type FlowWorld, GATEWAY, OVERLAY } from "./flow-world.ts";

export interface FlowStage extends Pick<FlowSubject, "carries"> {
  readonly world: FlowWorld;
  readonly family: Family;
}

/** Nobody who is to be answered waits so long; who is to be met with silence need not wait longer. */
const PATIENCE_SECONDS = { answer: 10, silence: 1 };
/** Chance to miss one of three endpoints so often in a row: under one in a billion. */
const MAX_DIALS = 60;

export function waitsForSilence({ expected }: Flow): boolean {
  return expected === "dropped" || expected === "kept off";
}

export function dialFlow(flow: Flow, { world, family }: Pick<FlowStage, "world" | "family">): Promise<Answer> {
  const ground = { topology: world.topology, family };
  return world.dial({
    from: flowAddress(flow.from, ground),
    to: flowAddress(flow.to, ground),
    port: flow.port,
    protocol: flow.protocol ?? "tcp",
    seconds: waitsForSilence(flow) ? PATIENCE_SECONDS.silence : PATIENCE_SECONDS.answer,
  });
}

/** Dials as often as it takes to see every endpoint. @returns what was not as expected */
export async function playFlow(flow: Flow, stage: FlowStage): Promise<readonly string[]> {
  const complain = (answer: Answer | string) => [`${flow.name} (IPv${stage.family}): ${JSON.stringify(answer)}`];
  const { expected } = flow;
  if (typeof expected === "object" && "endpoints" in expected) {
    const fault = await playForwarded(flow, { ...stage, expected });
    return fault === undefined ? [] : complain(fault);
  }
  const answer = await dialFlow(flow, stage);
  return isMet(flow, { ...stage, answer }) ? [] : complain(answer);
}

function isMet(flow: Flow, { world, family, carries, answer }: FlowStage & { readonly answer: Answer }): boolean {
  if (carries === "relay" && (flow.expected === "refused" || flow.expected === "dropped")) {
    // A relay accepts before it knows the client, and a UDP socket that others may use says nothing.
    return flow.protocol === "udp" ? !("endpoint" in answer) : "refused" in answer || "reset" in answer;
  }
  if (flow.expected === "refused") return "refused" in answer;
  if (waitsForSilence(flow)) return "silent" in answer;
  const ground = { topology: world.topology, family };
  const there = `${flowAddress(flow.to, ground)} ${flow.port}`;
  return "endpoint" in answer && answer.endpoint === there && answer.source === flowAddress(flow.from, ground);
}

type Forwarded = Extract<FlowExpectation, { readonly endpoints: unknown }>;

/** @returns the first answer that was not as expected, or a sentence */
async function playForwarded(
  flow: Flow,
  { expected, ...stage }: FlowStage & { readonly expected: Forwarded },
): Promise<Answer | string | undefined> {
  const ground = { topology: stage.world.topology, family: stage.family };
  const from = flowAddress(flow.from, ground);
  const ownAddresses = hostAddresses(stage.world);
  const missing = new Set(expected.endpoints.map((name) => `${flowAddress(name, ground)} ${expected.port}`));
  const all = new Set(missing);
  for (let dials = 0; dials < MAX_DIALS && missing.size > 0; dials++) {
    const answer = await dialFlow(flow, stage);
    if (!("endpoint" in answer) || !all.has(answer.endpoint)) return answer;
    const isItself = answer.endpoint === `${from} ${expected.port}`;
    const isMasqueraded = expected.masquerade === "hairpin" ? isItself : expected.masquerade;
    if (stage.carries === "relay" ? !ownAddresses.has(answer.source) : (answer.source !== from) !== isMasqueraded)
      return answer;
    if (expected.sticky === true) {
      // The first answer is the one to stay with.
      if (dials === 0) for (const other of all) if (other !== answer.endpoint) all.delete(other);
      if (dials === 3) return undefined;
    } else missing.delete(answer.endpoint);
  }
  return missing.size === 0 ? undefined : `never reached ${[...missing].join(", ")}`;
}

/** What endpoints see of a host that dials them itself. */
function hostAddresses({ topology }: FlowWorld): ReadonlySet<string> {
  return new Set([...edgeOf(topology).addresses, ...Object.values(GATEWAY), ...Object.values(OVERLAY)]);
}
