import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { addLabCapture } from "./lab-capture.ts";
import { addLabDown } from "./lab-down.ts";
import { addLabExec } from "./lab-exec.ts";
import { addLabStatus } from "./lab-status.ts";
import { addLabSupervise } from "./lab-supervise.ts";
import { addLabUp } from "./lab-up.ts";

/** `svcproxy lab`: the hosts of a topology as network namespaces. */
export function registerLab(program: Command, run: RunCommand): void {
  const lab = program
    .command("lab")
    .description("the hosts of a topology as network namespaces, to play with")
    // What stands behind the name of a place is the command that runs there.
    .enablePositionalOptions();
  addLabUp(lab, run);
  addLabExec(lab, run);
  addLabStatus(lab, run);
  addLabCapture(lab, run);
  addLabDown(lab, run);
  addLabSupervise(lab, run);
}
