import { EVENT_ID, getScalarValue, parseEvents } from "js-yaml";
import type { Fault } from "../errors.ts";
import { quote } from "../visible.ts";
import { MAX_FAULTS } from "./fault-report.ts";
import { scalarOffset } from "./locate-faults.ts";
import { type SourceText, shiftPosition } from "./source-document.ts";
import { positionFinder } from "./text-position.ts";

interface OpenNode {
  /** Keys seen so far, with the offset of the first; undefined in a sequence or document. */
  readonly keys: Map<string, number> | undefined;
  expectsKey: boolean;
}

/**
 * Every key of a YAML or JSON text that stands twice in one mapping, at its second place, and every key that is not a text; of
 * very many the first ones.
 *
 * @throws YAMLException where the text is not YAML
 */
export function keyFaults(source: SourceText): readonly Fault[] {
  const { file, text } = source;
  const find = positionFinder(text);
  const positionOf = (offset: number) => shiftPosition(source, { file, ...find(offset) });
  const faults: Fault[] = [];
  const open: OpenNode[] = [];
  for (const event of parseEvents(text, {})) {
    if (faults.length === MAX_FAULTS) {
      const message = `Of the keys that stand twice or are not a text the first ${MAX_FAULTS} are listed`;
      return [...faults, { severity: "error", code: "TOO_MANY_FAULTS", message }];
    }
    if (event.type === EVENT_ID.POP) {
      open.pop();
      continue;
    }
    const parent = open.at(-1);
    const isKey = parent?.keys !== undefined && parent.expectsKey;
    if (parent?.keys !== undefined) parent.expectsKey = !parent.expectsKey;
    if (isKey && (event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING)) {
      const what = event.type === EVENT_ID.SEQUENCE ? "a list" : "a mapping";
      faults.push({
        severity: "error",
        code: "WRONG_TYPE",
        message: `A key must be a text, not ${what}`,
        at: positionOf(event.start),
      });
    } else if (isKey && event.type === EVENT_ID.SCALAR) {
      const key = getScalarValue(text, event);
      const offset = scalarOffset(event) ?? 0;
      const first = parent.keys?.get(key);
      if (first === undefined) parent.keys?.set(key, offset);
      else {
        faults.push({
          severity: "error",
          code: "DUPLICATE_KEY",
          message: `The key ${quote(key)} stands twice in one mapping`,
          at: positionOf(offset),
          hint: `The first is on line ${positionOf(first).line}`,
        });
      }
    }
    if (event.type === EVENT_ID.MAPPING) open.push({ keys: new Map(), expectsKey: true });
    else if (event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.DOCUMENT) {
      open.push({ keys: undefined, expectsKey: false });
    }
  }
  return faults;
}
