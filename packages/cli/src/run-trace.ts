import {
  createTracer,
  drawTrace,
  formatTrace,
  type Trace,
  type TraceRequest,
  type Tracer,
  traceToJson,
} from "@svcproxy/rules";
import { type Family, familyOf, inputError, visible } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { compareExpectation } from "./packet-expectation.ts";
import { readPacket } from "./read-packet.ts";
import { readPacketList } from "./read-packet-list.ts";
import { readText } from "./read-text.ts";
import { openRuleSource, type RuleSource } from "./rule-source.ts";
import type { RuleSourceFlags } from "./rule-source-flags.ts";

export interface TraceFlags extends RuleSourceFlags {
  readonly from?: string;
  readonly to?: string;
  readonly proto?: string;
  readonly sport?: string;
  readonly inInterface?: string;
  readonly mark?: string;
  readonly state?: string;
  readonly packets?: string;
  readonly json?: boolean;
  readonly format: "text" | "mermaid" | "dot";
  readonly all?: boolean;
}

/** Traces one packet, or each of a list; exit code 3 where one came to something else than its `expect` says. */
export async function runTrace(
  context: CommandContext,
  files: readonly string[],
  flags: TraceFlags,
): Promise<ExitCode> {
  if (flags.packets !== undefined) return traceList(context, files, { ...flags, packets: flags.packets });
  if (flags.from === undefined || flags.to === undefined) {
    throw inputError("PACKET_REQUIRED", "Name the packet to trace with --from and --to", {
      hint: "svcproxy trace --host cloudos1 --from 10.5.75.2 --to 10.100.100.1:7070",
    });
  }
  const request = readPacket(flags);
  const source = await openRuleSource(context, files, flags);
  const tracer = await tracerFor(source, familyOf(request.from));
  await context.print(show(tracer.trace(request), source, flags));
  return 0;
}

async function tracerFor(source: RuleSource, family: Family): Promise<Tracer> {
  return createTracer({
    rules: await source.rules(family),
    hostState: source.hostState,
    ...(source.plan === undefined ? {} : { plan: source.plan }),
    isOwn: source.isOwn,
  });
}

function show(trace: Trace, { hostName }: RuleSource, { json, format, all }: TraceFlags): string {
  if (json === true) return `${JSON.stringify(traceToJson(trace), null, 2)}\n`;
  if (format !== "text") return drawTrace(trace, format);
  return formatTrace(trace, {
    ...(hostName === undefined ? {} : { hostName }),
    ...(all === true ? { detailed: Number.POSITIVE_INFINITY, listed: Number.POSITIVE_INFINITY } : {}),
  });
}

async function traceList(
  context: CommandContext,
  files: readonly string[],
  flags: TraceFlags & { readonly packets: string },
): Promise<ExitCode> {
  const packets = readPacketList(await readText(context, flags.packets), flags.packets);
  const source = await openRuleSource(context, files, flags);
  const tracers = new Map<Family, Tracer>();
  const tracerOf = async ({ from }: TraceRequest) => {
    const family = familyOf(from);
    const tracer = tracers.get(family) ?? (await tracerFor(source, family));
    tracers.set(family, tracer);
    return tracer;
  };
  let failed = 0;
  for (const [index, { request, expect }] of packets.entries()) {
    const trace = (await tracerOf(request)).trace(request);
    const differences = expect === undefined ? [] : compareExpectation(trace, expect);
    if (differences.length > 0) {
      failed++;
      const { packet } = traceToJson(trace);
      for (const difference of differences)
        context.note(visible(`packet ${index + 1}, ${packet["from"]} to ${packet["to"]}: ${difference}`));
    }
    const outcome = expect === undefined ? {} : { expect, differences };
    await context.print(`${JSON.stringify({ ...traceToJson(trace), ...outcome })}\n`);
  }
  if (failed > 0) context.note(`svcproxy: ${failed} of ${packets.length} packets came to something else than expected`);
  return failed > 0 ? 3 : 0;
}
