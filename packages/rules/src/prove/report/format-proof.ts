import type { Family } from "@svcproxy/topology";
import { familyOf, visible } from "@svcproxy/topology";
import { type AnyRule, isNftRule, type PlacedRule } from "../../hooks/any-rule.ts";
import { formatRule } from "../../text/format-rule.ts";
import { quoteShellWord } from "../../text/shell-words.ts";
import type { Claim, Finding, Proof, ProofPacket } from "./proof.ts";

export interface ProofFormat {
  readonly hostName?: string;
  /** The words of the `svcproxy trace` call that looks at the same rules, without the packet. */
  readonly traceCommand: readonly string[];
}

/** A line a claim, and below it the packets that break it, each with the trace that shows it. */
export function formatProof(proof: Proof, format: ProofFormat): string {
  const { claims, deviations, cases, family } = proof;
  const host = format.hostName === undefined ? "" : ` of ${visible(format.hostName)}`;
  const lines = [`IPv${family} rules${host}: ${cases} kinds of packets looked at, which together are all packets.`, ""];
  for (const claim of claims) lines.push(...claimLines(claim, { proof, format }));
  for (const { text, finding } of deviations) {
    if (finding === undefined) continue;
    lines.push(`by design  ${text}`, ...findingLines(finding, { proof, format }));
  }
  return `${lines.join("\n")}\n`;
}

interface Shown {
  readonly proof: Proof;
  readonly format: ProofFormat;
}

const STATUS = { held: "held", broken: "BROKEN", undecided: "undecided" } as const;

function claimLines({ number, title, status, broken, undecided, more }: Claim, shown: Shown): readonly string[] {
  return [
    `${STATUS[status].padEnd(10)} ${number}. ${title}`,
    ...broken.flatMap((finding) => findingLines(finding, shown)),
    ...undecided.flatMap((finding) => ["           not decidable:", ...findingLines(finding, shown)]),
    ...(more > 0 ? [`           … and ${more} more`] : []),
  ];
}

function findingLines(finding: Finding, { proof, format }: Shown): readonly string[] {
  const indent = " ".repeat(11);
  const frontend = finding.frontend === undefined ? "" : ` (${finding.frontend})`;
  const trace = [...format.traceCommand, ...traceFlags(finding.packet)].map(quoteShellWord).join(" ");
  return [
    `${indent}${visible(describePacket(finding.packet) + frontend)}`,
    `${indent}  ${visible(finding.message)}`,
    ...(finding.placed === undefined || finding.placed.number === 0
      ? []
      : [`${indent}  ${visible(describeRule(finding.placed, proof))}`]),
    `${indent}  $ ${visible(trace)}`,
  ];
}

/** `rule 3 of nat PREROUTING: -j ACCEPT`. */
function describeRule({ table, chain, number, rule }: PlacedRule, { family }: Pick<Proof, "family">): string {
  return `rule ${number} of ${table} ${chain}: ${ruleText(rule, family)}`;
}

/** As iptables-save or nft prints it. */
function ruleText(rule: AnyRule, family: Family): string {
  return isNftRule(rule) ? rule.text : formatRule(rule, { style: "save", family });
}

/** For programs: nothing but data. */
export function proofToJson(proof: Proof, { hostName, traceCommand }: ProofFormat): Readonly<Record<string, unknown>> {
  const finding = ({ packet, message, frontend, placed }: Finding) => ({
    packet: { ...packet, to: packet.port === undefined ? packet.to : describeTarget(packet) },
    message,
    ...(frontend === undefined ? {} : { frontend }),
    ...(placed === undefined || placed.number === 0
      ? {}
      : {
          rule: {
            ...{ table: placed.table, chain: placed.chain, number: placed.number },
            text: ruleText(placed.rule, proof.family),
          },
        }),
    trace: [...traceCommand, ...traceFlags(packet)].map(quoteShellWord).join(" "),
  });
  return {
    family: proof.family,
    ...(hostName === undefined ? {} : { host: hostName }),
    holds: proof.holds,
    cases: proof.cases,
    claims: proof.claims.map(({ broken, undecided, ...claim }) => ({
      ...claim,
      broken: broken.map(finding),
      undecided: undecided.map(finding),
    })),
    deviations: proof.deviations.map(({ kind, text, finding: shown }) => ({
      ...{ kind, text },
      ...(shown === undefined ? {} : { finding: finding(shown) }),
    })),
  };
}

function describeTarget(packet: Finding["packet"]): string {
  return traceFlags(packet)[3] ?? packet.to;
}

/** `192.168.1.6 → 10.100.100.1:7070/tcp, mark 0x1`. */
export function describePacket({ from, to, protocol, port, sourcePort, mark, state }: ProofPacket): string {
  const sender = sourcePort === undefined ? from : socket(from, sourcePort);
  const dialled = port === undefined ? to : socket(to, port);
  const marked = mark === undefined ? "" : `, mark 0x${mark.toString(16)}`;
  return `${sender} → ${dialled}/${protocol}${marked}${state === undefined ? "" : `, ${state}`}`;
}

/** The flags of the `svcproxy trace` that shows it. */
export function traceFlags({ from, to, protocol, port, sourcePort, mark, state }: ProofPacket): readonly string[] {
  return [
    ...["--from", from, "--to", port === undefined ? to : socket(to, port)],
    ...(protocol === "tcp" ? [] : ["--proto", protocol]),
    ...(sourcePort === undefined ? [] : ["--sport", String(sourcePort)]),
    ...(mark === undefined ? [] : ["--mark", `0x${mark.toString(16)}`]),
    ...(state === undefined ? [] : ["--state", state]),
  ];
}

function socket(address: ProofPacket["from"], port: number): string {
  return familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}
