import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

/** `svcproxy lab exec PLACE -- COMMAND`. */
export function addLabExec(lab: Command, run: RunCommand): void {
  addHelp(lab.command("exec"), {
    about: "run a command in a host, a pod or the client (default: a shell)",
    examples: ["svcproxy lab exec cloudos1 -- curl -s 10.100.100.1:7070", "svcproxy lab exec os1_my1"],
  })
    .argument("<place>", "a host's or pod's name, client or gateway")
    .argument("[command...]", "the command and its arguments, after --")
    .option("--name <lab>", "which lab, where several are up")
    .passThroughOptions()
    .action((place: string, command: string[], flags: { readonly name?: string }) =>
      run(async () => {
        const { execInPlace, findLab } = await import("@svcproxy/lab");
        const typed = withoutSeparator(command);
        const words = typed.length > 0 ? typed : [process.env["SHELL"] ?? "/bin/sh"];
        return execInPlace(findLab(flags.name), { place, command: words });
      }),
    );
}

/** `svcproxy lab capture PLACE INTERFACE -- FILTER`. */
export function addLabCapture(lab: Command, run: RunCommand): void {
  addHelp(lab.command("capture"), {
    about: "show the packets on an interface of a place, by tcpdump",
    examples: ["svcproxy lab capture cloudos1 flannel.1 -- tcp port 3000"],
  })
    .argument("<place>", "a host's or pod's name, client or gateway")
    .argument("<interface>", "eth0, cni0, flannel.1, ..., or any")
    .argument("[filter...]", "tcpdump's filter and options, after --")
    .option("--name <lab>", "which lab, where several are up")
    .passThroughOptions()
    .action((place: string, device: string, filter: string[], flags: { readonly name?: string }) =>
      run(async () => {
        const { execInPlace, findLab, Lab, requireTools } = await import("@svcproxy/lab");
        requireTools(["tcpdump"], "`svcproxy lab capture`");
        const found = findLab(flags.name);
        const devices = await readDevices(new Lab(found), place);
        if (device !== "any" && !devices.includes(device)) {
          throw inputError("UNKNOWN_INTERFACE", `${place} has no interface ${JSON.stringify(device)}`, {
            hint: `Known interfaces: ${[...devices, "any"].join(", ")}`,
          });
        }
        // Line by line, so that packets show as they come when the output is a pipe.
        return execInPlace(found, {
          place,
          command: ["tcpdump", "-l", "-n", "-i", device, ...withoutSeparator(filter)],
        });
      }),
    );
}

async function readDevices(lab: InstanceType<typeof import("@svcproxy/lab").Lab>, place: string): Promise<string[]> {
  const { stdout, stderr, exitCode } = await lab.run(place, ["ip", "-o", "link", "show"]);
  if (exitCode !== 0)
    throw new EnvironmentError("LAB_FAILED", `Cannot list the interfaces of ${place}: ${stderr.trim()}`);
  return [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].flatMap(([, name]) => name ?? []);
}

/** What stands behind a place is passed on as it is; the `--` before it is not meant for the command. */
function withoutSeparator(words: readonly string[]): readonly string[] {
  return words[0] === "--" ? words.slice(1) : words;
}
