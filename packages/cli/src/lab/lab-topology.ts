import { readFile, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { EXAMPLE_TOPOLOGY_FILE, inputError, type Topology } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { readTopology } from "../source/read-topology.ts";
import { isPath, type TopologyFlags } from "../source/topology-input.ts";

export interface LabTopology {
  readonly topology: Topology;
  /** Files for the lab, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** Arguments that name this topology inside of the lab, where /run is another one and stdin was read already. */
  readonly topologyArgs: readonly string[];
}

/** Where `startLab` puts files. */
const FOLDER = "/run/svcproxy-lab";

/** Reads the topology of a lab, and makes it readable inside. */
export async function readLabTopology(
  context: CommandContext,
  args: readonly string[],
  flags: TopologyFlags,
): Promise<LabTopology> {
  const [only, second] = args;
  const outside = args.find((source) => !isPath(source));
  if (outside !== undefined) {
    const save = outside.startsWith("etcd")
      ? "svcproxy etcd get"
      : "kubectl get services,endpointslices,nodes -A -o yaml";
    throw inputError("CONFLICTING_FLAGS", `A lab has a network of its own, from which ${outside} is not reached`, {
      hint: `Take what is there now, as a file: ${save} > lab.yaml`,
    });
  }
  const rest = [
    ...(flags.config === undefined ? [] : ["--config", resolve(flags.config)]),
    ...(flags.allowExternalIps ?? []).flatMap((cidr) => ["--allow-external-ips", cidr]),
  ];
  if (only === undefined) {
    const { topology } = await readTopology(context, args, { ...flags, isLab: true });
    return {
      topology,
      files: { "example.json": JSON.stringify(EXAMPLE_TOPOLOGY_FILE) },
      topologyArgs: [`${FOLDER}/example.json`, ...rest],
    };
  }
  if (second === undefined && (only === "-" || (await isPipe(only)))) {
    // Can be read once, so what was read is kept.
    const bytes = only === "-" ? await context.readStdin() : await readFile(only);
    const { topology } = await readTopology({ ...context, readStdin: async () => bytes }, ["-"], flags);
    return {
      topology,
      files: { "topology.yaml": bytes.toString() },
      topologyArgs: [`${FOLDER}/topology.yaml`, ...rest],
    };
  }
  const { topology } = await readTopology(context, args, { ...flags, isLab: true });
  if (second === undefined && (await stat(only)).isFile()) {
    const name = basename(only);
    return { topology, files: { [name]: await readFile(only, "utf8") }, topologyArgs: [`${FOLDER}/${name}`, ...rest] };
  }
  return { topology, files: {}, topologyArgs: [...args.map((path) => resolve(path)), ...rest] };
}

async function isPipe(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    return found.isFIFO() || found.isSocket() || found.isCharacterDevice();
  } catch {
    return false; // the reader says what is wrong with it
  }
}
