import { visible } from "@svcproxy/topology";
import type { PictureBox, StepRow } from "./trace-picture.ts";
import { wrapText } from "./wrap-text.ts";

/** One line of text in a box. */
export interface TextLine {
  readonly text: string;
  readonly style: "title" | "hook" | "place" | "rule" | "change" | "note" | "bad";
  /** Whether something else begins with it. */
  readonly isHead?: true;
  /** What it is short for. */
  readonly full?: string;
}

/** Characters in a line: a box of this many is about 330 pixels wide. */
const WIDTH = 42;
/** A rule has no more lines than this. */
const RULE_LINES = 4;

/** What is written in a box, line by line. What names and rules bring along is made visible. */
export function linesOf(box: PictureBox): readonly TextLine[] {
  switch (box.kind) {
    case "packet":
      return [...wrapped(box.title, "title"), ...box.details.flatMap((text) => wrapped(text, "note"))];
    case "steps":
      return box.rows.flatMap(linesOfRow);
    case "end": {
      const isBad = box.verdict === "dropped" || box.verdict === "refused" || box.verdict === "undecided";
      return [
        ...wrapped(`${isBad ? "✕ " : ""}${box.title}`, "title"),
        ...box.details.flatMap((text) => wrapped(text, isBad ? "bad" : "note")),
        ...(box.reply === undefined ? [] : replyLines(box.reply)),
      ];
    }
  }
}

function replyLines({ returns, because, rows }: NonNullable<Extract<PictureBox, { kind: "end" }>["reply"]>) {
  const answer =
    returns === null ? "The answer may not come back" : returns ? "The answer comes back" : "✕ The answer is lost";
  return [
    { text: answer, style: returns === false ? ("bad" as const) : ("hook" as const), isHead: true as const },
    ...wrapped(because, returns === false ? "bad" : "note"),
    ...rows.filter(({ kind }) => kind !== "hook").flatMap(linesOfRow),
  ];
}

function linesOfRow(row: StepRow): readonly TextLine[] {
  switch (row.kind) {
    case "hook":
      return [
        { text: row.detail === "" ? row.hook : `${row.hook} · ${visible(row.detail)}`, style: "hook", isHead: true },
      ];
    case "note":
      return wrapped(row.text, row.decided ? "bad" : "note");
    case "rule":
      return [
        ...wrapped(row.answer === undefined ? row.place : `${row.place}: ${row.answer}`, row.decided ? "bad" : "place"),
        ...wrapped(row.rule, row.decided ? "bad" : "rule", RULE_LINES),
        ...row.changes.flatMap((text) => wrapped(`→ ${text}`, "change")),
      ];
  }
}

function wrapped(text: string, style: TextLine["style"], most?: number): readonly TextLine[] {
  const shown = visible(text);
  const lines = wrapText(shown, { width: WIDTH, ...(most === undefined ? {} : { most }) });
  return lines.map((line) => ({ text: line, style, ...(lines.at(-1)?.endsWith("…") ? { full: shown } : {}) }));
}
