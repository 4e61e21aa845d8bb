import type { Machine } from "../machine/machine.ts";
import type { PodNamespace } from "../machine/pod-namespaces.ts";
import { readCommand } from "./read-part.ts";

/**
 * By which number this host's links call the namespaces of pods that have an address together: it tells behind which link each is, and so
 * whether they meet. Asked only where there are such; where `lsns` is missing it stays unknown.
 *
 * @throws EnvironmentError INTERRUPTED, OUT_OF_DESCRIPTORS
 */
export async function readNamespaceIds(
  machine: Pick<Machine, "run">,
  { pods, signal }: { readonly pods: readonly PodNamespace[]; readonly signal: AbortSignal },
): Promise<readonly PodNamespace[]> {
  const counts = new Map<string, number>();
  for (const address of pods.flatMap(({ addresses }) => addresses)) counts.set(address, (counts.get(address) ?? 0) + 1);
  const isShared = (pod: PodNamespace) => pod.addresses.some((address) => (counts.get(address) ?? 0) > 1);
  if (!pods.some(isShared)) return pods;
  const args = ["--raw", "--noheadings", "--type", "net", "--output", "NS,NETNSID"];
  const reading = await readCommand(machine, { tool: "lsns", args }, signal);
  if ("because" in reading) return pods;
  const ids = new Map(reading.value.split("\n").flatMap(parseLine));
  return pods.map((pod) => {
    const linkId = isShared(pod) ? ids.get(pod.inode) : undefined;
    return linkId === undefined ? pod : { ...pod, linkId };
  });
}

/** `4026532247 0`; `unassigned` where no link leads there. */
function parseLine(line: string): readonly (readonly [number, number])[] {
  const [, inode, id] = /^(\d+)\s+(\d+)$/.exec(line.trim()) ?? [];
  return inode === undefined || id === undefined ? [] : [[Number(inode), Number(id)]];
}
