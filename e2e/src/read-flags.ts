import { parseArgs } from "node:util";
import type { Overlay } from "@svcproxy/lab";
import { inputError } from "@svcproxy/topology";
import { DATA_PATHS, type DataPath } from "./data-paths.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { SCENARIOS } from "./scenarios.ts";

export interface E2eFlags {
  readonly dataPaths: readonly DataPath[];
  readonly overlays: readonly Overlay[];
  readonly scenarios: readonly Scenario[];
  readonly keep: boolean;
  readonly help: boolean;
}

const OVERLAYS = [{ name: "vxlan" }, { name: "host-gw" }] as const;

/** @throws InputError UNKNOWN_CHOICE with those that there are */
export function readFlags(argv: readonly string[]): E2eFlags {
  const { values } = parseArgs({
    // `pnpm e2e -- --keep` hands the separator over, too.
    args: argv.filter((word) => word !== "--"),
    options: {
      "data-path": { type: "string", multiple: true },
      overlay: { type: "string", multiple: true },
      scenario: { type: "string", multiple: true },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return {
    dataPaths: choose("data path", DATA_PATHS, values["data-path"]),
    overlays: choose("overlay", OVERLAYS, values.overlay).map(({ name }) => name),
    scenarios: choose("scenario", SCENARIOS, values.scenario),
    keep: values.keep,
    help: values.help,
  };
}

function choose<Choice extends { readonly name: string }>(
  what: string,
  choices: readonly Choice[],
  names: readonly string[] | undefined,
): readonly Choice[] {
  if (names === undefined) return choices;
  return names.map((name) => {
    const found = choices.find((choice) => choice.name === name);
    if (found !== undefined) return found;
    throw inputError("UNKNOWN_CHOICE", `There is no ${what} ${JSON.stringify(name)}`, {
      hint: `Choose from ${choices.map((choice) => choice.name).join(", ")}`,
    });
  });
}

export const HELP = `Plays every scenario on every data path, each on both overlays.

  --data-path NAME   only this one (repeatable): ${DATA_PATHS.map(({ name }) => name).join(", ")}
  --overlay NAME     only this one (repeatable): vxlan, host-gw
  --scenario NAME    only this one (repeatable):
${SCENARIOS.map(({ name, promise }) => `                       ${name.padEnd(22)} ${promise}`).join("\n")}
  --keep             leave the labs up afterwards, and say how to enter them
`;
