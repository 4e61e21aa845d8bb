import {
  compareExpectation,
  createTracer,
  drawTrace,
  formatTrace,
  type Trace,
  type TraceRequest,
  type Tracer,
  traceToJson,
} from "@svcproxy/rules";
import { type Family, type Fault, familyOf, formatFault, InputError, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { RuleSourceFlags } from "../flags/rule-source-flags.ts";
import { howToAdd, isGiven, openRuleSource, type RuleSource, refuseStdinTwice } from "../host-rules/rule-source.ts";
import { readText } from "../source/read-files.ts";
import { namesAnEnd, readPacket } from "./read-packet.ts";
import { faultsAt, type ListedPacket, PacketList } from "./read-packet-list.ts";

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
  readonly format: "text" | "mermaid" | "dot" | "svg";
  readonly all?: boolean;
  readonly watch?: boolean;
  /** Milliseconds. */
  readonly for: number;
}

/** Traces one packet, or each of a list; with exit codes where packets come with what is expected of them, as `traceList`. */
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
  const needsPlan = namesAnEnd(flags);
  // A packet without names is refused before rules are read.
  const unnamed = needsPlan ? undefined : readPacket(flags);
  const source = await openRuleSource(context, files, flags, { needsPlan });
  const request = unnamed ?? readPacket(flags, source.topology);
  const tracer = tracerFor(context, source, familyOf(request.from));
  await context.print(await show(tracer.trace(request), source, flags));
  return 0;
}

function tracerFor(context: CommandContext, source: RuleSource, family: Family): Tracer {
  if (!isGiven(source, family))
    context.note(`svcproxy: no IPv${family} rules were given, so the host is taken to have none (${howToAdd(family)})`);
  return createTracer({
    rules: source.rules(family),
    hostState: source.hostState,
    ...(source.plan === undefined ? {} : { plan: source.plan }),
    isOwn: source.isOwn,
  });
}

async function show(trace: Trace, { hostName }: RuleSource, { json, format, all }: TraceFlags): Promise<string> {
  if (json === true) return renderJson(traceToJson(trace));
  if (format === "svg") return (await import("@svcproxy/page")).drawTraceAsSvg(traceToJson(trace));
  if (format !== "text") return drawTrace(trace, format);
  return formatTrace(trace, {
    ...(hostName === undefined ? {} : { hostName }),
    ...(all === true ? { detailed: Number.POSITIVE_INFINITY, listed: Number.POSITIVE_INFINITY } : {}),
  });
}

/**
 * Traces each packet of a list, an object a line. Exit code 3 where one came to something else than its `expect` says, and 4
 * where none did, but whether one did could not be decided.
 */
async function traceList(
  context: CommandContext,
  files: readonly string[],
  flags: TraceFlags & { readonly packets: string },
): Promise<ExitCode> {
  refuseWithList(flags);
  refuseStdinTwice(files, flags, flags.packets);
  const list = new PacketList(await readText(context, flags.packets), flags.packets);
  const source = await openRuleSource(context, files, flags, { needsPlan: list.hasNames });
  const packets = list.read(source.topology);
  if (packets.length === 0) context.note(`svcproxy: ${JSON.stringify(flags.packets)} lists no packet`);
  const tracers = new Map<Family, Tracer>();
  const tracerOf = async ({ from }: TraceRequest) => {
    const family = familyOf(from);
    const tracer = tracers.get(family) ?? tracerFor(context, source, family);
    tracers.set(family, tracer);
    return tracer;
  };
  const faults: Fault[] = [];
  let failed = 0;
  let open = 0;
  for (const packet of packets) {
    const tracer = await tracerOf(packet.request);
    const told = traceListed(tracer, packet, faults);
    if (told === undefined) continue;
    if (told.differences.length > 0) failed++;
    else if (told.undecided.length > 0) open++;
    for (const note of [...told.differences, ...told.undecided]) context.note(formatFault(note));
    await context.print(`${told.line}\n`);
  }
  const [first, ...others] = faults;
  if (first !== undefined) throw new InputError([first, ...others]);
  if (failed > 0) context.note(`svcproxy: ${failed} of ${packets.length} packets came to something else than expected`);
  if (open > 0) context.note(`svcproxy: of ${open} of ${packets.length} packets it could not be decided`);
  return failed > 0 ? 3 : open > 0 ? 4 : 0;
}

/** What a list says of its packets is not said a second time. @throws InputError CONFLICTING_FLAGS */
function refuseWithList(flags: TraceFlags): void {
  const others = ["from", "to", "proto", "sport", "inInterface", "mark", "state"] as const;
  const given = others.find((name) => flags[name] !== undefined);
  if (given !== undefined)
    throw inputError(
      "CONFLICTING_FLAGS",
      `Cannot take packets from --packets and from --${given === "inInterface" ? "in-interface" : given}`,
      { hint: "Write it into the entries of the list" },
    );
  if (flags.format !== "text")
    throw inputError(
      "CONFLICTING_FLAGS",
      `Cannot draw a list of packets as ${flags.format}: --packets prints JSON lines`,
    );
}

interface ToldTrace {
  readonly line: string;
  readonly differences: readonly Fault[];
  readonly undecided: readonly Fault[];
}

/** @returns undefined where nobody can say how the packet comes in: `faults` has why */
function traceListed(tracer: Tracer, { request, expect, place }: ListedPacket, faults: Fault[]): ToldTrace | undefined {
  try {
    const trace = tracer.trace(request);
    const json = traceToJson(trace);
    if (expect === undefined) return { line: JSON.stringify(json), differences: [], undecided: [] };
    const { differences, undecided } = compareExpectation(trace, expect);
    const { packet } = json;
    const faultsOf = (texts: readonly string[], code: "UNEXPECTED" | "UNDECIDED") =>
      texts.flatMap((text) => faultsAt(inputError(code, `${packet["from"]} to ${packet["to"]}: ${text}`), place()));
    return {
      line: JSON.stringify({ ...json, expect, differences, undecided }),
      differences: faultsOf(differences, "UNEXPECTED"),
      undecided: faultsOf(undecided, "UNDECIDED"),
    };
  } catch (error) {
    faults.push(...faultsAt(error, place()));
    return undefined;
  }
}
