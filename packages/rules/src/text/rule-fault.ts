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
