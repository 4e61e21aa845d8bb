import {
  assumedHosts,
  describePacket,
  formatProof,
  guessFamily,
  isNftText,
  type Proof,
  type ProofFormat,
  proofToJson,
  proveRules,
  type Sameness,
  sameRules,
} from "@svcproxy/rules";
import { type Family, type HostPlan, InputError, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { readRulesOf } from "../host-rules/find-rules.ts";
import { howToAdd, isGiven, openRuleSource, type RuleSource } from "../host-rules/rule-source.ts";
import { readText } from "../source/read-files.ts";
import { traceCommandOf } from "../trace/trace-command.ts";
import type { ProveFlags } from "./prove-flags.ts";

/** Proves the rules of each family that has frontends. */
export async function runProve(
  context: CommandContext,
  files: readonly string[],
  flags: ProveFlags,
): Promise<ExitCode> {
  try {
    if (flags.to !== undefined || flags.fleet !== undefined) {
      const { runMigration } = await import("./run-migration.ts");
      return await runMigration(context, files, flags);
    }
    if (flags.kubeProxyVersion !== undefined)
      throw inputError("CONFLICTING_FLAGS", "--kube-proxy-version is about a migration: name it with --to");
    if (flags.same !== undefined) return await runSame(context, files, { ...flags, same: flags.same });
    return await proveAll(context, files, flags);
  } catch (error) {
    if (!(error instanceof InputError) || error.code !== "PROOF_TOO_LARGE") throw error;
    context.note(`svcproxy: ${error.message}`);
    return 4;
  }
}

async function proveAll(context: CommandContext, files: readonly string[], flags: ProveFlags): Promise<ExitCode> {
  const source = await openRuleSource(context, files, flags, { needsPlan: true });
  const { plan, hostState } = source;
  if (plan === undefined) throw inputError("HOST_REQUIRED", "Name the host whose rules are to be proved with --host");
  const format = formatOf(source, files, flags);
  const proofs: Proof[] = [];
  for (const family of familiesToProve(context, plan, source)) {
    const isOwn: RuleSource["isOwn"] = source.isOwn;
    proofs.push(
      proveRules({
        rules: source.rules(family),
        plan,
        hostState,
        deviations: source.deviations(family),
        isOwn: ({ table, chain, number, rule }) => isOwn({ table, chain, number }, rule, [chain]),
      }),
    );
  }
  await context.print(
    flags.json === true
      ? renderJson({
          holds: proofs.every(({ holds }) => holds),
          proofs: proofs.map((proof) => proofToJson(proof, format)),
        })
      : proofs.map((proof) => formatProof(proof, format)).join("\n"),
  );
  if (proofs.length === 0) context.note("svcproxy: the plan has no frontend, so there is nothing to prove");
  return exitCodeOf(proofs);
}

function exitCodeOf(proofs: readonly Proof[]): ExitCode {
  if (proofs.every(({ holds }) => holds)) return 0;
  return proofs.some(({ claims }) => claims.some(({ status }) => status === "broken")) ? 3 : 4;
}

function familiesOf({ ports }: HostPlan): readonly Family[] {
  return ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
}

/** Those of the plan of which rules were given; where they are of the other family alone, that one: no foreign rule is left out. */
function familiesToProve(context: CommandContext, plan: HostPlan, source: RuleSource): readonly Family[] {
  const planned = familiesOf(plan);
  const proved = planned.filter((family) => isGiven(source, family));
  for (const family of planned) {
    if (proved.includes(family)) continue;
    context.note(
      `svcproxy: no IPv${family} rules were given, so nothing is proved of IPv${family} (${howToAdd(family)})`,
    );
  }
  return proved.length > 0 || planned.length === 0 ? proved : (source.givenFamilies ?? []);
}

/** The trace that looks at what was proved. */
function formatOf({ hostName }: RuleSource, files: readonly string[], flags: ProveFlags): ProofFormat {
  return { ...(hostName === undefined ? {} : { hostName }), traceCommand: traceCommandOf(files, flags, hostName) };
}

async function runSame(
  context: CommandContext,
  files: readonly string[],
  flags: ProveFlags & { readonly same: readonly string[] },
): Promise<ExitCode> {
  const [fileA, fileB, ...others] = flags.same;
  if (fileA === undefined || fileB === undefined || others.length > 0) {
    throw inputError("TWO_FILES", "--same takes two files of rules, A and B", {
      hint: "A topology goes before it: svcproxy prove topology.yaml --host web1 --same before.txt after.txt",
    });
  }
  const [textA, textB] = [await readText(context, fileA), await readText(context, fileB)];
  const [sideA, sideB] = [readRulesOf(fileA, textA), readRulesOf(fileB, textB)];
  const [a, b] = [sideA.rules, sideB.rules];
  const isHostGiven =
    files.length > 0 || flags.host !== undefined || flags.hostState !== undefined || flags.live === true;
  const given = isHostGiven
    ? (await openRuleSource(context, files, flags)).hostState
    : (sideA.snapshot ?? sideB.snapshot)?.hostState;
  const families = familiesToCompare([a.families, b.families], [textA, textB]);
  const notCompared = familiesLeftOut(families, [
    { file: fileA, families: a.families },
    { file: fileB, families: b.families },
  ]);
  const results: Sameness[] = [];
  let assumed: string | undefined;
  for (const family of families) {
    const rules = { a: a.rules(family), b: b.rules(family) };
    const assuming = given === undefined ? assumedHosts([rules.a, rules.b], family) : undefined;
    assumed ??= assuming?.told;
    for (const hostState of assuming?.hosts ?? [given])
      if (hostState !== undefined) results.push(sameRules({ ...rules, hostState }));
  }
  const result = summed(results);
  const isOnAssumed = assumed !== undefined && !(result.kind === "same" && result.cases === "all");
  await context.print(
    flags.json === true
      ? renderJson({ ...result, families, notCompared, ...(isOnAssumed ? { assumed } : {}) })
      : `${formatSameness(result, { fileA, fileB })}${notCompared.map(tellLeftOut).join("")}${isOnAssumed ? `No host was named, so it is taken for ${assumed} (name yours with --host, --host-state or --live).\n` : ""}`,
  );
  return SAMENESS_CODES[result.kind];
}

/** Those of which both files tell; what tells of neither is taken as it looks. */
function familiesToCompare(
  [a, b]: readonly [readonly Family[], readonly Family[]],
  texts: readonly string[],
): readonly Family[] {
  const both = a.filter((family) => b.includes(family));
  const found = both.length > 0 ? both : [...new Set([...a, ...b])];
  const isTold = texts.some((text) => isNftText(text) || text.includes("ip6tables-save"));
  return found.length === 1 || isTold ? found : [guessFamily(texts.join("\n"))];
}

/** A family of which one of the files tells and the other does not. */
interface LeftOut {
  readonly family: Family;
  readonly without: string;
}

function familiesLeftOut(
  compared: readonly Family[],
  sides: readonly { readonly file: string; readonly families: readonly Family[] }[],
): readonly LeftOut[] {
  return ([4, 6] as const).flatMap((family) => {
    if (compared.includes(family) || !sides.some((side) => side.families.includes(family))) return [];
    return sides.flatMap((side) => (side.families.includes(family) ? [] : [{ family, without: side.file }]));
  });
}

function tellLeftOut({ family, without }: LeftOut): string {
  const save = family === 4 ? "iptables-save" : "ip6tables-save";
  return `IPv${family} was not compared: ${without} has no rules of it (what ${save} prints may stand in the same file).\n`;
}

/** Of several families the first that differs, or else the first that is not decided. */
function summed(results: readonly Sameness[]): Sameness {
  const worst = results.find(({ kind }) => kind === "different") ?? results.find(({ kind }) => kind === "undecided");
  if (worst !== undefined) return worst;
  const cases = results.map((result) => (result.kind === "same" ? result.cases : 0));
  const counted = cases.filter((count) => count !== "all");
  return { kind: "same", cases: counted.length === 0 ? "all" : counted.reduce((sum, count) => sum + count, 0) };
}

const SAMENESS_CODES: Readonly<Record<Sameness["kind"], ExitCode>> = { same: 0, different: 3, undecided: 4 };

function formatSameness(result: Sameness, { fileA, fileB }: { fileA: string; fileB: string }): string {
  switch (result.kind) {
    case "same":
      return result.cases === "all"
        ? "The same: the rules are the same to the letter.\n"
        : `The same: all packets, of ${result.cases} kinds, are treated alike.\n`;
    case "different":
      return `Different: ${describePacket(result.packet)}\n  ${fileA}: it ${result.a}\n  ${fileB}: it ${result.b}\n`;
    case "undecided":
      // A reason that quotes something is one already.
      return `Not decidable: ${describePacket(result.packet)} hangs on ${result.because.includes("`") ? result.because : `\`${result.because}\``}\n`;
  }
}
