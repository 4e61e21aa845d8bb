import { claimLab, forgetLab, type Overlay, saveLab, startLab } from "@svcproxy/lab";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { ownProgram } from "../command-line/this-program.ts";
import type { TopologyFlags } from "../source/topology-input.ts";
import { applyDataPath, type LabDataPath } from "./lab-data-path.ts";
import { readLabTopology } from "./lab-topology.ts";
import { announce, watch } from "./lab-view.ts";

export interface LabUpFlags extends TopologyFlags {
  readonly overlay: Overlay;
  readonly dataPath: LabDataPath;
  readonly name: string;
  readonly detach?: true;
  readonly rpFilter: boolean;
  readonly variant?: string;
  readonly dialect?: string;
  readonly json?: true;
}

/** Starts a lab and what serves in it; unless it is left in the background, waits for its end or the signal. */
export async function runLab(context: CommandContext, files: readonly string[], flags: LabUpFlags): Promise<ExitCode> {
  const { signal } = context;
  const { topology, files: copies, topologyArgs } = await readLabTopology(context, files, flags);
  const { name, overlay, dataPath, rpFilter } = flags;
  claimLab(name);
  const detached = flags.detach === true;
  try {
    const started = await startLab(topology, {
      name,
      overlay,
      rpFilter,
      detached,
      files: copies,
      insideProgram: [...ownProgram(), "lab", "supervise"],
    });
    try {
      for (const warning of started.warnings) context.note(`svcproxy: ${warning}`);
      await applyDataPath(started.lab, topology, {
        dataPath,
        topologyArgs,
        variant: flags.variant,
        dialect: flags.dialect,
      });
      saveLab({ ...started.lab.process, startedAt: new Date().toISOString(), dataPath });
      await announce(context, { topology, started, flags });
      if (detached) return 0;
      await watch(context, { started, signal });
      if (!signal.aborted) context.note(`svcproxy: lab ${name} has ended`);
    } catch (error) {
      await started.lab.down();
      throw error;
    }
    await started[Symbol.asyncDispose]();
    forgetLab(name);
    return 0;
  } catch (error) {
    forgetLab(name);
    throw error;
  }
}
