import { once } from "node:events";
import process from "node:process";
import type { ServedCount, StartedLab } from "@svcproxy/lab";
import type { Topology } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { commandName } from "../command-line/this-program.ts";
import type { LabDataPath } from "./lab-data-path.ts";
import { renderPlaces, renderServices, renderSuggestions } from "./lab-tables.ts";

export interface Announcement {
  readonly topology: Topology;
  readonly started: StartedLab;
  readonly flags: { readonly dataPath: LabDataPath; readonly detach?: true; readonly json?: true };
}

/** Says what is where, and what to try. */
export async function announce(context: CommandContext, { topology, started, flags }: Announcement): Promise<void> {
  const { name, pid, overlay, places } = started.lab.process;
  const { dataPath } = flags;
  if (flags.json === true) {
    await context.print(renderJson({ name, pid, overlay, dataPath, places }));
    return;
  }
  const title = `lab ${name} is up: overlay ${overlay}, data path ${dataPath}, first process ${pid}`;
  const suggestions = renderSuggestions(topology, { command: commandName(), name, overlay });
  const isLive = context.stdoutIsTerminal && flags.detach !== true;
  const parts = [title, renderServices(topology), suggestions, ...(isLive ? [] : [renderPlaces(places)])];
  await context.print(`${parts.join("\n\n")}\n${isLive ? "\n" : ""}`);
  if (flags.detach !== true) context.note("svcproxy: the lab stays until this command ends (Ctrl-C)");
}

/** Waits until the lab ends or the user ends it. On a terminal the table of places counts what the pods serve. */
export async function watch(
  context: CommandContext,
  { started, signal }: { readonly started: StartedLab; readonly signal: AbortSignal },
): Promise<void> {
  if (context.stdoutIsTerminal) {
    let painted = 0;
    const paint = (counts: Readonly<Record<string, ServedCount>>) => {
      const table = crop(renderPlaces(started.lab.process.places, counts));
      // Back to where the last table began; each line is cleared to its end before it is written anew.
      const up = painted === 0 ? "" : `\u001b[${painted}A`;
      painted = table.split("\n").length;
      void context.print(`${up}${table.replaceAll(/^/gm, "\u001b[2K")}\n`);
    };
    paint({});
    started.onServed(paint);
  }
  if (signal.aborted) return;
  await Promise.race([started.ended, once(signal, "abort")]);
}

/** As much of a table as the terminal shows without scrolling: lines beyond could not be painted over. */
function crop(table: string): string {
  const { rows = 24, columns = 80 } = process.stdout;
  const lines = table.split("\n").map((line) => [...line].slice(0, columns - 1).join(""));
  const fitting = rows - 2;
  if (lines.length <= fitting) return lines.join("\n");
  return [...lines.slice(0, fitting - 1), `(${lines.length - fitting + 1} more: svcproxy lab status)`].join("\n");
}
