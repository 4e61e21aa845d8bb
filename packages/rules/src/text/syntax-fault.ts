import type { Fault } from "@svcproxy/topology";
import type { RuleFault } from "./rule-fault.ts";

/** So many faults are listed; a file with more is another kind of file. */
export const MAX_FAULTS = 20;

export interface FaultPlace {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The fault of a line as `svcproxy` prints it: the line's number, the line, the reason. */
export function syntaxFault(fault: RuleFault, { file, line, text }: FaultPlace): Fault {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return {
    severity: "error",
    code: fault.code,
    message: `Cannot read ${JSON.stringify(shown)}: ${fault.message}`,
    at: { file, line, column: 1 },
  };
}
