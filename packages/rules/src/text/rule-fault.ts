import type { Fault } from "@svcproxy/topology";

/** Why one line or command of rules is refused; whoever reads the text adds the line's number and the line itself. */
export class RuleFault extends Error {
  readonly code: RuleFaultCode;

  /** @param reason lower case, no full stop, the value quoted */
  constructor(reason: string, code: RuleFaultCode = "RULE_SYNTAX") {
    super(reason);
    this.name = "RuleFault";
    this.code = code;
  }
}

export type RuleFaultCode =
  | "RULE_SYNTAX"
  | "CHAIN_EXISTS"
  | "CHAIN_MISSING"
  | "CHAIN_NAME"
  | "CHAIN_IN_USE"
  | "RULE_MISSING";

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
