import type { Fault, TestOutcomes } from "./test-outcomes.ts";

/** Of a failure's message: enough to see what it is, so that a hundred of them still fit a log that is cut. */
const MESSAGE_LINES = 12;

/**
 * The end of a run: what was skipped, what passed at the second try only, and last what failed, each by its full name with
 * the first lines of its message; then a line that counts.
 */
export function renderSummary({ passed, failed, secondTry, skipped }: TestOutcomes): string {
  const counts = [
    `${passed} passed`,
    `${failed.length} failed`,
    ...(skipped.length > 0 ? [`${skipped.length} skipped`] : []),
  ];
  return [
    ...skipped.map((name) => `skipped: ${name}`),
    ...secondTry.map(({ name, message }) => `second try: ${name}: ${linesOf(message).slice(0, 2).join(": ")}`),
    ...failed.map(renderFailure),
    counts.join(", "),
    "",
  ].join("\n");
}

function renderFailure({ name, message }: Fault): string {
  const lines = linesOf(message);
  const shown = lines.slice(0, MESSAGE_LINES).map((line) => `    ${line}`);
  const rest = lines.length > MESSAGE_LINES ? [`    (${lines.length - MESSAGE_LINES} more lines)`] : [];
  return [`failed: ${name}`, ...shown, ...rest].join("\n");
}

function linesOf(message: string): readonly string[] {
  return message.split("\n").filter((line) => line.trim() !== "");
}
