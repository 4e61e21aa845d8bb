import { availableParallelism } from "node:os";
import { runTool } from "@svcproxy/host";
import type { LabPlan, NamespaceSetup } from "../plan/lab-plan.ts";

/** A line for each namespace, by which the one that failed is told. */
const MAX_COMPLAINT_BYTES = 16 << 20;

/**
 * Carries out the wiring and the set-ups of a plan: one `ip -batch` for the wiring, then a shell for each processor, which
 * goes from namespace to namespace (a shell forks faster than we do).
 *
 * @throws Error with the line that the kernel refused, and its reason
 */
export async function buildNetwork({ wiring, setups }: Pick<LabPlan, "wiring" | "setups">): Promise<void> {
  const wired = await runScript(["ip", "-batch", "-"], `${wiring.join("\n")}\n`);
  if (wired !== undefined) throw refusal(wired, wiring);
  const shells = Math.min(availableParallelism(), setups.length);
  const shares = Array.from({ length: shells }, (_, shell) => setups.filter((_, index) => index % shells === shell));
  await Promise.all(shares.map(setUp));
}

async function setUp(setups: readonly NamespaceSetup[]): Promise<void> {
  const complaint = await runScript(["sh", "-s"], setups.map(renderVisit).join(""));
  if (complaint === undefined) return;
  const failed = setups.find(({ namespace }) => complaint.includes(`@in ${namespace}\n`));
  throw refusal(complaint, complaint.includes("@bridge") ? failed?.bridge : failed?.ip);
}

function renderVisit(setup: NamespaceSetup): string {
  const { namespace } = setup;
  return `nsenter --net=/run/netns/${namespace} sh -es <<'NEXT' || { echo "@in ${namespace}" >&2; exit 1; }\n${renderSetup(setup)}NEXT\n`;
}

/** What a failed batch complains of, as an error: `Command failed -:LINE` stands behind the reason. */
function refusal(complaint: string, batch: readonly string[] = []): Error {
  const [, number = ""] = /Command failed -:(\d+)/.exec(complaint) ?? [];
  const line = batch[Number(number) - 1];
  const reason =
    complaint.split("\n").find((text) => text.trim() !== "" && !text.startsWith("@")) ?? "no reason is known";
  return new Error(line === undefined ? reason : `"${line}" was refused: ${reason}`);
}

/** A namespace's set-up as a shell script. Its last command takes the shell's place, which saves a process. */
function renderSetup({ sysctls, ip, bridge }: NamespaceSetup): string {
  return [
    // Older kernels lack some of the settings; what is there must have its value. Most have it already, and a write may
    // have to wait for the lock of all the machine's network settings.
    'set_in() { while [ $# -gt 0 ]; do [ ! -e "$folder/$1" ] || set_to "$folder/$1" "$2"; shift 2; done; }',
    // The kernel gives a setting to the first read only, and dash reads byte by byte: it gets one digit, and sees no line's end.
    'set_to() { read -r now <"$1" || :; [ "$now" = "$2" ] || echo "$2" >"$1"; }',
    "cd /proc/sys/net",
    ...groupByFolder(sysctls).map(
      ([folders, settings]) => `for folder in ${folders}; do set_in ${settings.join(" ")}; done`,
    ),
    ...renderBatch("ip", ip, bridge.length === 0),
    ...renderBatch("bridge", bridge, true),
    "",
  ].join("\n");
}

/** `folder/*` is read once for all settings in it: reading a folder of /proc takes longer than writing a setting. */
function groupByFolder(sysctls: NamespaceSetup["sysctls"]): readonly (readonly [string, readonly string[]])[] {
  const groups = new Map<string, string[]>();
  for (const [path, value] of sysctls) {
    const slash = path.lastIndexOf("/");
    const setting = `${path.slice(slash + 1)} ${value}`;
    const folder = path.slice(0, slash);
    const known = groups.get(folder);
    if (known === undefined) groups.set(folder, [setting]);
    else known.push(setting);
  }
  return [...groups];
}

function renderBatch(tool: "ip" | "bridge", lines: readonly string[], isLast: boolean): readonly string[] {
  if (lines.length === 0) return [];
  // Which of the two complains is told by the name before it.
  return [`echo "@${tool}" >&2`, `${isLast ? "exec " : ""}${tool} -batch - <<'END'`, ...lines, "END"];
}

/** @returns what it complained of, where it failed */
async function runScript([command = "", ...args]: readonly string[], input: string): Promise<string | undefined> {
  const { exitCode, stderr } = await runTool(command, args, {
    input,
    maxErrorBytes: MAX_COMPLAINT_BYTES,
    timeoutMs: Number.POSITIVE_INFINITY,
  });
  return exitCode === 0 ? undefined : stderr;
}
