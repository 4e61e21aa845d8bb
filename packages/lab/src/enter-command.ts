import { INSIDE_FOLDER } from "./inside/lab-message.ts";
import type { LabProcess } from "./lab-process.ts";
import type { Place } from "./plan/lab-plan.ts";

/**
 * The command line that runs `command` in a place of a lab: a child of `nsenter`, in the lab's PID namespace, so that it
 * ends with the lab.
 *
 * The paths lead through the lab's first process, which is the only one that this side needs to know.
 */
export function enterCommand(
  lab: LabProcess,
  place: Place,
  command: readonly string[],
): readonly [string, ...string[]] {
  const first = `/proc/${lab.pid}`;
  const host = lab.holders[place.namespace];
  const own = host === undefined ? `${first}/ns` : `${first}/root/proc/${host}/ns`;
  return [
    "nsenter",
    // An ordinary user keeps uid and gid, and gets the capabilities by the program below.
    ...(lab.rootless ? [`--user=${first}/ns/user`, "--preserve-credentials"] : []),
    `--net=${first}/root/run/netns/${place.namespace}`,
    `--pid=${first}/ns/pid`,
    `--mount=${own}/mnt`,
    `--uts=${own}/uts`,
    "--",
    ...(lab.rootless ? [`${INSIDE_FOLDER}/enter`, "--inh-caps=+all", "--ambient-caps=+all", "--"] : []),
    ...command,
  ];
}
