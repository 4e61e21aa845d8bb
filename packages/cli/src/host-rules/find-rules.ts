import {
  givenRules,
  type HostSnapshot,
  isSnapshotText,
  type RuleTexts,
  readLiveRules,
  readSnapshot,
  thisMachine,
} from "@svcproxy/host";
import { type GivenRules, isBlank, readRules } from "@svcproxy/rules";
import { inputError } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import type { RuleSourceFlags } from "../flags/rule-source-flags.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import type { HostPlace } from "../source/read-topology.ts";

/** A snapshot and the file that it was read from. */
export type NamedSnapshot = HostSnapshot & { readonly file: string };

/** What `--rules` or `--live` give; no rules where they are to be the plan's. */
export interface FoundRules {
  readonly rules?: GivenRules;
  /** The host that they are of, where one of the files says. */
  readonly snapshot?: NamedSnapshot;
}

/** @throws InputError for files that cannot be taken; EnvironmentError where this machine cannot be read */
export async function findRules(context: CommandContext, { rules, live }: RuleSourceFlags): Promise<FoundRules> {
  if (live === true) return { rules: await readLiveRules(thisMachine, { signal: context.signal }) };
  if (rules === undefined) return {};
  const files = await Promise.all(rules.map(async (file) => ({ file, text: await readText(context, file) })));
  const [texts, snapshots] = [
    files.filter(({ text }) => !isSnapshotText(text)),
    files.filter(({ text }) => isSnapshotText(text)),
  ];
  for (const { file, text } of texts)
    if (isBlank(text)) context.note(`svcproxy: ${JSON.stringify(file)} has no rules (iptables-save needs root)`);
  const [first, second] = snapshots;
  if (second !== undefined)
    throw inputError("CONFLICTING_FLAGS", "Cannot take the rules of two snapshots: each is of a whole host");
  if (first !== undefined) {
    const snapshot = { ...readSnapshot(first.text, first), file: first.file };
    return { snapshot, rules: givenRules(rulesOfSnapshot(snapshot), texts) };
  }
  const given = readRules(texts);
  const [missing] = given.missing;
  if (missing !== undefined && given.missing.length === 1)
    context.note(
      `svcproxy: taken as all rules of the host: of ${missing} it has none besides (${HOW_TO_ADD[missing]})`,
    );
  return { rules: given };
}

/** @throws InputError NOT_SAVED_RULES where they could not be read on its host */
export function rulesOfSnapshot({ rules, unread, file }: NamedSnapshot): RuleTexts {
  if (rules !== undefined) return rules;
  const why = unread.find(({ part }) => part === "rules")?.because ?? "it names none";
  throw inputError("NOT_SAVED_RULES", `Cannot take the rules of ${JSON.stringify(file)}: ${why}`, {
    hint: "Take it again as root: sudo svcproxy host-state --snapshot FILE",
  });
}

const HOW_TO_ADD = {
  iptables: "else add --rules with what iptables-save prints",
  nftables: "else add --rules with what `nft list ruleset` prints",
} as const;

/** Whether kube-proxy itself keeps some of the rules: its canary, or its table of nftables, is among them. */
export function isKubeProxys(given: GivenRules): boolean {
  return given.families.some((family) => {
    const { iptables, nft } = given.rules(family);
    const chains = iptables.flatMap(({ rules: { tables } }) => tables.flatMap((table) => table.chains));
    return (
      chains.some(({ name }) => name === "KUBE-PROXY-CANARY") || nft.tables.some(({ name }) => name === "kube-proxy")
    );
  });
}

/** The rules of one file that is taken as a whole: a dump, a listing, or a snapshot, which says the host too. */
export function readRulesOf(
  file: string,
  text: string,
): { readonly rules: GivenRules; readonly snapshot?: NamedSnapshot } {
  if (!isSnapshotText(text)) return { rules: readRules([{ file, text }]) };
  const snapshot = { ...readSnapshot(text, { file }), file };
  return { snapshot, rules: givenRules(rulesOfSnapshot(snapshot)) };
}

/** Where a snapshot was taken, for the choice of the host; this machine where there is none. */
export function placeOf(snapshot: NamedSnapshot | undefined): HostPlace {
  if (snapshot === undefined) return {};
  const { hostname, hostState, file } = snapshot;
  return { localAddresses: notedAddresses(hostState), called: `the host of ${JSON.stringify(file)}`, hostname };
}
