import type { ObservedHeader, ObservedPacket, ObservedStep } from "@svcproxy/rules";
import type { RuleHandles } from "./rule-handles.ts";
import type { TraceLine } from "./trace-line.ts";
import { TRACE_CHAINS, TRACE_TABLE } from "./trace-table.ts";

interface Growing {
  readonly header: ObservedHeader;
  readonly key: string;
  readonly steps: ObservedStep[];
  /** It has not been seen behind where what belongs to a known connection is let go. */
  isSpared: boolean;
}

/** Of one packet no more is kept: a ruleset in which one meets as many rules is none of ours. */
const MOST_STEPS = 5_000;
/** So many packets are followed at a time; older ones count as done. */
const MOST_PACKETS = 32;

/** Puts the lines of the kernel's tracing together to packets, each from where it was marked to its end. */
export class TraceAssembly {
  readonly #handles: RuleHandles;
  readonly #byId = new Map<string, Growing>();
  readonly #growing = new Set<Growing>();

  constructor(handles: RuleHandles) {
    this.#handles = handles;
  }

  take(line: TraceLine): void {
    const packet = this.#byId.get(line.id) ?? this.#begin(line);
    if (packet === undefined || packet.steps.length >= MOST_STEPS) return;
    if (line.table === TRACE_TABLE) takeOwn(packet, line);
    else packet.steps.push(this.#stepOf(line));
    if (line.kind !== "packet" && line.verdict === "drop") packet.isSpared = false;
  }

  /** One that comes in again, over `lo` or out of a tunnel, has a new number, and is the same. */
  #begin(line: TraceLine): Growing | undefined {
    if (line.kind !== "packet") return undefined;
    const { header, key, id } = line;
    const isMarked =
      line.table === TRACE_TABLE && isOneOf(line.chain, TRACE_CHAINS.marking) && header.inInterface !== "lo";
    const known = isMarked ? undefined : this.#knownAs(key);
    const packet = known ?? { header, key, steps: [], isSpared: true };
    this.#byId.set(id, packet);
    this.#growing.add(packet);
    const [oldest] = this.#growing;
    if (this.#growing.size > MOST_PACKETS && oldest !== undefined) this.#growing.delete(oldest);
    return packet;
  }

  #knownAs(key: string): Growing | undefined {
    const growing = [...this.#growing];
    return growing.findLast((packet) => key !== "" && packet.key === key) ?? growing.at(-1);
  }

  #stepOf(line: TraceLine): ObservedStep {
    const { table, chain } = line;
    switch (line.kind) {
      case "packet":
        return { kind: "chain", table, chain, header: line.header };
      case "policy":
        return { kind: "policy", table, chain, verdict: line.verdict };
      case "rule": {
        const place =
          line.handle === undefined ? -1 : (this.#handles.get(`${table} ${chain}`)?.indexOf(line.handle) ?? -1);
        return {
          kind: "rule",
          table,
          chain,
          number: place < 0 ? undefined : place + 1,
          text: line.text,
          verdict: line.verdict,
        };
      }
    }
  }

  /** The packets that were told of so far; those that began a connection. */
  finish(): readonly ObservedPacket[] {
    const packets = [...this.#growing].filter(({ isSpared }) => !isSpared);
    this.#growing.clear();
    this.#byId.clear();
    return packets.map(({ header, steps }) => ({ header, steps }));
  }
}

/** What our own table tells is where the packet is, not what happened to it. */
function takeOwn(packet: Growing, line: TraceLine): void {
  // Of a packet whose mark is taken off there the kernel tells nothing more.
  if (isOneOf(line.chain, TRACE_CHAINS.sparing)) packet.isSpared = false;
  if (line.kind !== "packet") return;
  if (line.chain === TRACE_CHAINS.left) packet.steps.push({ kind: "left", header: line.header });
  if (line.chain === TRACE_CHAINS.arrived) packet.steps.push({ kind: "arrived", header: line.header });
}

function isOneOf(name: string, names: readonly string[]): boolean {
  return names.includes(name);
}
