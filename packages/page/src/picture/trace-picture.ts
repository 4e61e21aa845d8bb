import type { BranchJson, StepJson, TraceJson } from "@svcproxy/rules";

/** A trace as a picture has it: boxes with the steps of a way that does not divide, and lines between them. */
export interface TracePicture {
  readonly boxes: readonly PictureBox[];
  readonly lines: readonly PictureLine[];
  /** Ways that are not drawn, because there are too many. */
  readonly untold: number;
}

export type PictureBox =
  | { readonly kind: "packet"; readonly id: string; readonly title: string; readonly details: readonly string[] }
  | { readonly kind: "steps"; readonly id: string; readonly rows: readonly StepRow[] }
  | {
      readonly kind: "end";
      readonly id: string;
      readonly verdict: BranchJson["verdict"];
      readonly title: string;
      readonly details: readonly string[];
      /** The way back of the answer. */
      readonly reply?: {
        readonly returns: boolean | null;
        readonly because: string;
        readonly rows: readonly StepRow[];
      };
    };

export type StepRow =
  /** A hook: the kernel asks its chains in their order. */
  | { readonly kind: "hook"; readonly hook: string; readonly detail: string }
  /** A rule that took the packet. */
  | {
      readonly kind: "rule";
      readonly place: string;
      readonly rule: string;
      readonly changes: readonly string[];
      /** Where it is not simply so. */
      readonly answer?: string;
      /** Whether this rule ended the way. */
      readonly decided: boolean;
    }
  | { readonly kind: "note"; readonly text: string; readonly decided: boolean };

export interface PictureLine {
  readonly from: string;
  readonly to: string;
  /** `50 %`; empty where the way does not divide. */
  readonly label: string;
}

/** More ways than this make no picture. */
const MAX_BRANCHES = 16;

/** Ways that end badly come first: they are what is looked for. */
const RANKS: Readonly<Record<BranchJson["verdict"], number>> = {
  dropped: 0,
  refused: 1,
  undecided: 2,
  untouched: 3,
  accepted: 4,
};

/** Where the answer is lost, the connection is. */
function rankOf({ verdict, reply }: BranchJson): number {
  return reply?.returns === false ? RANKS.refused : RANKS[verdict];
}

/** What `svcproxy trace --json` prints, as boxes and lines; branches share what they have in common. */
export function pictureOf({ packet, branches }: TraceJson): TracePicture {
  const drawn = branches.toSorted((a, b) => rankOf(a) - rankOf(b)).slice(0, MAX_BRANCHES);
  const start: PictureBox = {
    kind: "packet",
    id: "packet",
    title: `${text(packet["protocol"])} to ${text(packet["to"])}`,
    details: [
      `from ${withoutAnyPort(text(packet["from"]), packet["sourcePorts"])}`,
      ...(packet["inInterface"] === null ? ["sent by this host"] : [`in by ${text(packet["inInterface"])}`]),
    ],
  };
  const boxes: PictureBox[] = [start];
  const lines: PictureLine[] = [];
  const ways = drawn.map((branch) => ({ branch, rows: rowsOf(branch) }));
  divide(ways, { from: start.id, depth: 0, boxes, lines });
  return { boxes, lines, untold: branches.length - drawn.length };
}

interface Way {
  readonly branch: BranchJson;
  /** What is still to come. */
  readonly rows: readonly StepRow[];
}

interface Drawing {
  readonly from: string;
  /** How many rows are behind. */
  readonly depth: number;
  readonly boxes: PictureBox[];
  readonly lines: PictureLine[];
}

/** Draws what all ways have in common as one box, and goes on with each of those into which they divide. */
function divide(ways: readonly Way[], { from, depth, boxes, lines }: Drawing): void {
  const [first] = ways;
  if (first === undefined) return;
  const shared = ways.length === 1 ? first.rows.length : sharedRows(ways);
  let last = from;
  if (shared > 0) {
    const id = `steps-${boxes.length}`;
    boxes.push({ kind: "steps", id, rows: first.rows.slice(0, shared) });
    lines.push({ from, to: id, label: from === "packet" ? "" : shareOf(ways) });
    last = id;
  }
  const label = (group: readonly Way[]) => (shared > 0 && group.length === ways.length ? "" : shareOf(group));
  const groups = Map.groupBy(ways, ({ rows }) => (rows.length === shared ? "" : JSON.stringify(rows[shared])));
  for (const [key, group] of groups) {
    if (key !== "") {
      const rest = group.map(({ branch, rows }) => ({ branch, rows: rows.slice(shared) }));
      divide(rest, { from: last, depth: depth + shared, boxes, lines });
      continue;
    }
    for (const { branch } of group) {
      const id = `end-${boxes.length}`;
      boxes.push(endOf(branch, id));
      lines.push({ from: last, to: id, label: label([...group]) });
    }
  }
}

function sharedRows(ways: readonly Way[]): number {
  const keys = ways.map(({ rows }) => rows.map((row) => JSON.stringify(row)));
  const [first = []] = keys;
  const end = first.findIndex((key, index) => keys.some((others) => others[index] !== key));
  return end < 0 ? first.length : end;
}

function shareOf(ways: readonly Way[]): string {
  return percent(ways.reduce((sum, { branch }) => sum + branch.probability.value, 0));
}

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(share < 0.01 ? 3 : 1))} %`;
}

/** The rules that took the packet, by hook; what they let pass is left out. */
function rowsOf({ steps, verdict }: BranchJson): readonly StepRow[] {
  const rows = steps.flatMap(rowOf);
  const isBad = verdict === "dropped" || verdict === "refused" || verdict === "undecided";
  const last = rows.findLastIndex((row) => row.kind !== "hook");
  return rows.map((row, index) => (isBad && index === last && row.kind !== "hook" ? { ...row, decided: true } : row));
}

function rowOf(step: StepJson): readonly StepRow[] {
  switch (step.kind) {
    case "hook": {
      const way = [step.in === null ? "" : `in ${step.in}`, step.out === null ? "" : `out ${step.out}`];
      const detail = [...way.filter((part) => part !== ""), step.mark === "0x0" ? "" : `mark ${step.mark}`]
        .filter((part) => part !== "")
        .join(" · ");
      return [{ kind: "hook", hook: step.hook, detail }];
    }
    case "note":
      return [{ kind: "note", text: step.text, decided: false }];
    case "chainEnd":
      if (step.policy !== "DROP") return [];
      return [{ kind: "note", text: `policy DROP of ${step.table} ${step.chain}`, decided: false }];
    case "rule":
      if (!step.matched) return [];
      return [
        {
          kind: "rule",
          place: `${step.table} ${step.chain} rule ${step.number}`,
          rule: step.rule,
          changes: step.changes ?? [],
          ...(step.answer === "yes" ? {} : { answer: step.answer }),
          decided: false,
        },
      ];
    case "misses":
      return [];
  }
}

function endOf(branch: BranchJson, id: string): PictureBox {
  const { verdict, destination, source, because, reply } = branch;
  return {
    kind: "end",
    id,
    verdict,
    title: titleOf(branch),
    details: [
      because,
      ...(source === null || verdict === "dropped" || verdict === "refused" || destination === null
        ? []
        : [`seen there as ${addressOf(source)}`]),
      ...(branch.share === null || branch.share.value === 0 ? [] : [`planned share ${branch.share.fraction}`]),
    ],
    ...(reply === null
      ? {}
      : { reply: { returns: reply.returns, because: reply.because, rows: reply.steps.flatMap(rowOf) } }),
  };
}

function titleOf({ verdict, destination, endpoint }: BranchJson): string {
  switch (verdict) {
    case "accepted":
    case "untouched":
      return `Reaches ${endpoint ?? destination ?? "its destination"}`;
    case "dropped":
      return "Dropped here";
    case "refused":
      return "Refused here";
    case "undecided":
      return "Cannot be decided";
  }
}

/** A client's port could be any. */
function addressOf(end: string): string {
  return end.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function withoutAnyPort(end: string, ports: unknown): string {
  return ports === undefined ? end : addressOf(end);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
