import { TRACE_TABLE, type TracedConnection, thisMachine, traceInKernel } from "@svcproxy/host";
import {
  type Agreement,
  compareObserved,
  createTracer,
  formatObserved,
  type HostRules,
  KnownChains,
  type ObservedComparison,
  type ObservedPacket,
  observedToJson,
  type Trace,
  type TraceRequest,
} from "@svcproxy/rules";
import { EnvironmentError, type Family, familyOf, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { openRuleSource, type RuleSource } from "../host-rules/rule-source.ts";
import { namesAnEnd, readPacket } from "./read-packet.ts";
import type { TraceFlags } from "./run-trace.ts";

/** So many packets are shown, then it ends. */
const MOST_PACKETS = 20;

/**
 * Shows the kernel's own way of each packet that begins such a connection, beside the predicted one.
 *
 * @returns 3 where one went otherwise than predicted; 4 where none came, or none could be compared to its end
 */
export async function watchTrace(
  context: CommandContext,
  files: readonly string[],
  flags: TraceFlags,
): Promise<ExitCode> {
  refuseOthers(flags);
  const open = () => openRuleSource(context, files, { ...flags, live: true }, { needsPlan: namesAnEnd(flags) });
  const opened = namesAnEnd(flags) ? await open() : undefined;
  const request = readPacket(flags, opened?.topology);
  const connection = connectionOf(request);
  const family = familyOf(request.from);
  const prediction = new Prediction(family, open, opened);
  const chains = await prediction.chains();
  for (const table of chains.legacyTables)
    context.note(`svcproxy: table ${table} is iptables-legacy's: the kernel's tracing tells nothing of it`);
  if (chains.isEmpty && chains.legacyTables.size > 0) throw notTraceable();
  // What cannot be predicted is refused before anything is marked.
  await prediction.trace(request);
  const agreements: Agreement[] = [];
  const packets = traceInKernel({
    ...{ machine: thisMachine, connection, forMs: flags.for, signal: context.signal },
    onReady: () =>
      context.note(`svcproxy: watching for ${flags.for / 1000} s: now connect from ${request.from} to ${flags.to}`),
  });
  for await (const packet of packets) {
    const compared = await comparePacket(packet, { prediction, request });
    agreements.push(compared.comparison.agreement);
    await context.print(show(packet, { ...compared, isFirst: agreements.length === 1, json: flags.json === true }));
    if (agreements.length >= MOST_PACKETS) {
      context.note(`svcproxy: ${MOST_PACKETS} connections were shown, which is enough`);
      break;
    }
  }
  if (agreements.length === 0) context.note("svcproxy: nobody made such a connection");
  return exitCode(agreements);
}

function exitCode(agreements: readonly Agreement[]): ExitCode {
  if (agreements.includes("disagrees")) return 3;
  return agreements.length > 0 && agreements.every((agreement) => agreement === "agrees") ? 0 : 4;
}

interface Compared {
  readonly trace: Trace;
  readonly comparison: ObservedComparison;
}

/** Where it went otherwise than predicted, the rules may have changed since they were read: they are read once more. */
async function comparePacket(
  packet: ObservedPacket,
  { prediction, request }: { readonly prediction: Prediction; readonly request: TraceRequest },
): Promise<Compared> {
  const { sourcePort } = packet.header;
  const exact = sourcePort === undefined ? request : { ...request, sourcePort };
  const compare = async (): Promise<Compared> => {
    const trace = await prediction.trace(exact);
    return { trace, comparison: compareObserved(packet, { trace, chains: await prediction.chains() }) };
  };
  const first = await compare();
  if (first.comparison.agreement !== "disagrees") return first;
  prediction.forget();
  return compare();
}

/** What the rules of this machine, as they were read, do with a packet. */
class Prediction {
  readonly #family: Family;
  readonly #read: () => Promise<RuleSource>;
  #source: Promise<RuleSource> | undefined;

  /** @param source as it was read already */
  constructor(family: Family, read: () => Promise<RuleSource>, source: RuleSource | undefined) {
    this.#family = family;
    this.#read = read;
    this.#source = source === undefined ? undefined : Promise.resolve(source);
  }

  /** They are read again when they are needed. */
  forget(): void {
    this.#source = undefined;
  }

  async chains(): Promise<KnownChains> {
    return new KnownChains(withoutOwn((await this.#open()).rules(this.#family)));
  }

  async trace(request: TraceRequest): Promise<Trace> {
    const { rules, hostState, plan, isOwn } = await this.#open();
    const tracer = createTracer({
      ...{ rules: withoutOwn(rules(this.#family)), hostState, isOwn },
      ...(plan === undefined ? {} : { plan }),
    });
    return tracer.trace(request);
  }

  #open(): Promise<RuleSource> {
    this.#source ??= this.#read();
    return this.#source;
  }
}

/** The table that marks is no part of what is watched. */
function withoutOwn(rules: HostRules): HostRules {
  const tables = rules.nft.tables.filter(({ family, name }) => `${family} ${name}` !== TRACE_TABLE);
  return { ...rules, nft: { ...rules.nft, tables } };
}

function show(
  packet: ObservedPacket,
  { trace, comparison, isFirst, json }: Compared & { readonly isFirst: boolean; readonly json: boolean },
): string {
  if (json) return `${JSON.stringify(observedToJson(packet, comparison))}\n`;
  return `${isFirst ? "" : "\n"}${formatObserved(packet, { trace, comparison })}`;
}

/** @throws InputError CONFLICTING_FLAGS, PACKET_REQUIRED */
function refuseOthers(flags: TraceFlags): void {
  const given = [
    ...(flags.rules === undefined ? [] : ["--rules"]),
    ...(flags.hostState === undefined ? [] : ["--host-state"]),
    ...(flags.packets === undefined ? [] : ["--packets"]),
    ...(flags.format === "text" ? [] : [`--format ${flags.format}`]),
    ...(flags.state === undefined ? [] : ["--state"]),
    ...(flags.mark === undefined ? [] : ["--mark"]),
  ];
  if (given.length > 0)
    throw inputError("CONFLICTING_FLAGS", `Cannot watch this machine's own connections with ${given.join(" and ")}`);
  if (flags.from === undefined || flags.to === undefined) {
    throw inputError("PACKET_REQUIRED", "Name the connection to watch with --from and --to", {
      hint: "svcproxy trace --watch --from 10.5.75.2 --to 10.100.100.1:7070",
    });
  }
}

/** @throws InputError BAD_PACKET */
function connectionOf({ from, to, port, protocol = "tcp", sourcePort }: TraceRequest): TracedConnection {
  if ((protocol !== "tcp" && protocol !== "udp" && protocol !== "sctp") || port === undefined) {
    throw inputError("BAD_PACKET", `Cannot watch connections of protocol ${JSON.stringify(protocol)}`, {
      hint: "Use tcp, udp or sctp",
    });
  }
  return { protocol, from, to, port, ...(sourcePort === undefined ? {} : { sourcePort }) };
}

function notTraceable(): EnvironmentError {
  return new EnvironmentError(
    "NOT_TRACEABLE",
    "Cannot watch: this machine's rules are iptables-legacy's, of which the kernel tells nothing",
    {
      hint: "svcproxy trace --live predicts what they do; iptables-nft and nftables can be watched",
    },
  );
}
