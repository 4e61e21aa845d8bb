import { EnvironmentError } from "@svcproxy/topology";
import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { CleanUpFlags } from "../data-path/clean-up-userspace.ts";
import {
  acceptInstance,
  acceptUserspaceFlags,
  type InstanceFlags,
  type UserspaceFlags,
} from "../flags/userspace-flags.ts";
import { sourcesOf } from "../source/topology-input.ts";

/** `svcproxy userspace TOPOLOGY`: runs the proxy. */
export function addUserspace(program: Command, run: RunCommand): void {
  const userspace = addHelp(acceptUserspaceFlags(program.command("userspace")), {
    about: "run the proxy for hosts without netfilter",
    notes: [
      "Times are 500ms, 30s, 15m or 1h; a bare number is seconds. SIGHUP reads the topology again; SIGTERM and SIGINT drain and end, a second one hurries.",
    ],
    examples: [
      "sudo svcproxy userspace web.yaml --host web1 --watch --metrics 127.0.0.1:9464",
      "svcproxy userspace web.yaml --host web1 --take-over",
      "svcproxy userspace web.yaml --host web1 --watch --print-unit",
    ],
  })
    // What stands behind the name of a subcommand is that subcommand's.
    .enablePositionalOptions();
  userspace.action((named: string[], flags: UserspaceFlags) =>
    run(async (context) => {
      const files = sourcesOf(context, named);
      if (flags.printUnit === true) {
        const { printUnit } = await import("../agent/print-unit.ts");
        await context.print(printUnit({ files, flags, argv: program.args }));
        return 0;
      }
      const { refuseBesideAgent } = await import("../data-path/refuse-beside-agent.ts");
      await refuseBesideAgent("serve");
      const { runUserspace } = await import("../data-path/run-userspace.ts");
      return runUserspace(context, { files, flags, argv: program.args });
    }),
  );
  addUserspaceStatus(userspace, run);
  addUserspaceReload(userspace, run);
  addUserspaceCleanup(userspace, run);
  addUserspaceWorker(userspace, run);
}

interface StatusFlags extends InstanceFlags {
  readonly json?: true;
}

/** `svcproxy userspace status`. */
function addUserspaceStatus(userspace: Command, run: RunCommand): void {
  addHelp(acceptInstance(userspace.command("status")), {
    takesNoMore: "It asks the proxy that runs here, which --runtime-dir names where there are several",
    about: "show what the running proxy serves, and how it fares",
    examples: ["svcproxy userspace status", "svcproxy userspace status --json | jq .ready"],
  })
    .option("--json", "print JSON")
    .action((flags: StatusFlags) =>
      run(async (context) => {
        const { isUserspaceStatus, queryInstance, renderUserspaceStatus } = await import("@svcproxy/agent");
        const status = await queryInstance(
          flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir },
        );
        if (flags.json === true) {
          await context.print(renderJson(status));
          return 0;
        }
        if (!isUserspaceStatus(status)) {
          throw new EnvironmentError(
            "OTHER_VERSION",
            "Cannot show the status: the running proxy is of another version",
            {
              hint: "--json prints what it says",
            },
          );
        }
        await context.print(renderUserspaceStatus(status, Date.now()));
        return 0;
      }),
    );
}

/** `svcproxy userspace reload`: a successor with the same flags takes over from the running proxy. */
function addUserspaceReload(userspace: Command, run: RunCommand): void {
  addHelp(acceptInstance(userspace.command("reload")), {
    takesNoMore:
      "Its successor has the flags and files of the proxy that runs here, read again. Others: start it again, with --take-over",
    about: "start a successor of the running proxy, with the same flags, that takes over without a lost connection",
    notes: [
      "Connections that are open live on in the old process, which ends with the last of them; of more than three such, the oldest is drained. New flags need a restart.",
    ],
    examples: ["sudo svcproxy userspace reload", "systemctl reload svcproxy-userspace"],
  }).action((flags: InstanceFlags) =>
    run(async () => {
      const { reloadInstance } = await import("@svcproxy/userspace");
      await reloadInstance(flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir });
      return 0;
    }),
  );
}

/** `svcproxy userspace cleanup`: takes away what a killed proxy left. */
function addUserspaceCleanup(userspace: Command, run: RunCommand): void {
  addHelp(acceptInstance(userspace.command("cleanup")), {
    takesNoMore: "It takes away what a killed proxy left, whatever topology that had: svcproxy userspace cleanup",
    about: "take away the VIPs, routes and the device that a killed proxy left on this host",
    examples: ["sudo svcproxy userspace cleanup"],
  })
    .option("--json", "print what could not be taken away as JSON")
    .action((flags: CleanUpFlags) =>
      run(async (context) => {
        const { cleanUpUserspace } = await import("../data-path/clean-up-userspace.ts");
        return cleanUpUserspace(context, flags);
      }),
    );
}

/** A process of the proxy that carries connections. Not for people. */
function addUserspaceWorker(userspace: Command, run: RunCommand): void {
  userspace.command("worker", { hidden: true }).action(() =>
    run(async () => {
      const { runWorkerProcess } = await import("@svcproxy/userspace");
      runWorkerProcess();
      return 0;
    }),
  );
}
