import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { renderJson } from "../command-line/render-json.ts";
import { addLabCapture, addLabExec } from "./lab-exec.ts";
import { addLabUp } from "./lab-up.ts";

/** `svcproxy lab`: the hosts of a topology as network namespaces. */
export function addLab(program: Command, run: RunCommand): void {
  const lab = addHelp(program.command("lab"), {
    about: "the hosts of a topology as network namespaces, to play with",
    examples: ["sudo svcproxy lab up", "svcproxy lab exec cloudos1 -- curl -s 10.100.100.1:7070", "svcproxy lab down"],
  })
    // What stands behind the name of a place is the command that runs there.
    .enablePositionalOptions();
  addLabUp(lab, run);
  addLabExec(lab, run);
  addLabStatus(lab, run);
  addLabCapture(lab, run);
  addLabDown(lab, run);
  addLabSupervise(lab, run);
}

interface StatusFlags {
  readonly name?: string;
  readonly json?: true;
}

function addLabStatus(lab: Command, run: RunCommand): void {
  addHelp(lab.command("status"), {
    takesNoMore: "Which lab, where several are up: svcproxy lab status --name LAB",
    about: "list the hosts, pods, routes and listeners of a lab",
    examples: ["svcproxy lab status --json | jq '.places[].listeners'"],
  })
    .option("--name <lab>", "which lab, where several are up")
    .option("--json", "print JSON")
    .action((flags: StatusFlags) =>
      run(async (context) => {
        const [{ findLab, Lab, readLabStatus }, { renderLabStatus }] = await Promise.all([
          import("@svcproxy/lab"),
          import("../lab/lab-tables.ts"),
        ]);
        const state = findLab(flags.name);
        const places = await readLabStatus(new Lab(state));
        const { name, pid, startedAt, overlay, dataPath } = state;
        const report = { name, pid, startedAt, overlay, dataPath, places };
        await context.print(flags.json === true ? renderJson(report) : renderLabStatus(report));
        return 0;
      }),
    );
}

interface DownFlags {
  readonly name?: string;
  readonly all?: true;
  readonly json?: true;
}

function addLabDown(lab: Command, run: RunCommand): void {
  addHelp(lab.command("down"), {
    takesNoMore: "Which lab, where several are up: svcproxy lab down --name LAB",
    about: "end a lab and everything that runs in it",
    examples: ["svcproxy lab down --all"],
  })
    .option("--name <lab>", "which lab, where several are up")
    .option("--all", "all labs of this user")
    .option("--json", "print what was ended as JSON")
    .action((flags: DownFlags) =>
      run(async (context) => {
        const { findLab, forgetLab, Lab, listLabs } = await import("@svcproxy/lab");
        const labs = flags.all === true ? listLabs() : [findLab(flags.name)];
        for (const found of labs) {
          await new Lab(found).down();
          forgetLab(found.name, found.pid);
          if (flags.json !== true) context.note(`svcproxy: lab ${found.name} is down`);
        }
        if (flags.json === true) {
          const ended = labs.map(({ name, pid }) => ({ name, pid }));
          await context.print(renderJson({ ended }));
        }
        return 0;
      }),
    );
}

/** The first process of a lab. Not for people. */
function addLabSupervise(lab: Command, run: RunCommand): void {
  lab.command("supervise", { hidden: true }).action(() =>
    run(async () => {
      const { supervise } = await import("@svcproxy/lab");
      await supervise();
      return 0;
    }),
  );
}
