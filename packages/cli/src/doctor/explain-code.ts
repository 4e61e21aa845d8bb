import { EXPLAINED_CODES, EXPLANATIONS } from "@svcproxy/doctor";
import { inputError, nearestWord, type ProblemCode, wrapText } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";

/** @throws InputError UNKNOWN_CHOICE for a code that there is not */
export function requireCode(code: string): ProblemCode {
  const found = EXPLAINED_CODES.find((known) => known === code.toUpperCase());
  if (found !== undefined) return found;
  const near = nearestWord(code.toUpperCase(), EXPLAINED_CODES);
  throw inputError("UNKNOWN_CHOICE", `There is no code ${JSON.stringify(code)}`, {
    hint: near === undefined ? "svcproxy explain lists them" : `Did you mean ${near}?`,
  });
}

/** Prints what a code means, or what each does. @throws InputError UNKNOWN_CHOICE */
export async function explainCode(
  context: CommandContext,
  code: string | undefined,
  { json }: { readonly json?: true },
): Promise<ExitCode> {
  const codes = code === undefined ? EXPLAINED_CODES : [requireCode(code)];
  if (json === true) {
    const told = codes.map((one) => ({ code: one, ...EXPLANATIONS[one] }));
    await context.print(renderJson(told));
    return 0;
  }
  await context.print(codes.map((one) => `${explained(one)}\n`).join("\n"));
  return 0;
}

function explained(code: ProblemCode): string {
  const { means, evidence, remedy } = EXPLANATIONS[code];
  const field = (name: string, text: string) => wrapText(text, { first: `  ${name.padEnd(9)}`, next: " ".repeat(11) });
  return [
    code,
    ...field("means", means),
    ...(evidence === undefined ? [] : field("seen by", evidence)),
    ...field("mend", remedy),
  ].join("\n");
}
