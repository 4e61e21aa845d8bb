import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { text } from "node:stream/consumers";
import type { LabPlan, NamespaceSetup } from "../plan/lab-plan.ts";
import { forEachConcurrently } from "./for-each-concurrently.ts";

/**
 * Carries out the wiring and the set-ups of a plan: one `ip -batch` for the wiring, then one shell a namespace.
 *
 * @throws Error with the line that the kernel refused, and its reason
 */
export async function buildNetwork({ wiring, setups }: Pick<LabPlan, "wiring" | "setups">): Promise<void> {
  await runScript(["ip", "-batch", "-"], { input: `${wiring.join("\n")}\n`, batches: { ip: wiring } });
  await forEachConcurrently(setups, availableParallelism(), (setup) =>
    runScript(["nsenter", `--net=/run/netns/${setup.namespace}`, "sh", "-es"], {
      input: renderSetup(setup),
      batches: setup,
    }),
  );
}

/** A namespace's set-up as a shell script. */
export function renderSetup({ sysctls, ip, bridge }: NamespaceSetup): string {
  return [
    // Older kernels lack some of the settings; what is there must take its value.
    'set_all() { value=$1; shift; for file; do [ ! -e "$file" ] || echo "$value" >"$file"; done; }',
    "cd /proc/sys/net",
    ...sysctls.map(([path, value]) => `set_all ${value} ${path}`),
    ...renderBatch("ip", ip),
    ...renderBatch("bridge", bridge),
    "",
  ].join("\n");
}

function renderBatch(tool: "ip" | "bridge", lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  return [`${tool} -batch - <<'END' || { echo "@${tool}" >&2; exit 1; }`, ...lines, "END"];
}

interface Script {
  readonly input: string;
  readonly batches: { readonly ip?: readonly string[]; readonly bridge?: readonly string[] };
}

async function runScript([command = "", ...args]: readonly string[], { input, batches }: Script): Promise<void> {
  const child = spawn(command, args, { stdio: ["pipe", "ignore", "pipe"] });
  child.stdin.on("error", () => {}); // it may end before it has read everything; its exit code says why
  child.stdin.end(input);
  const [complaint, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  if (code === 0) return;
  const [, number = ""] = /Command failed -:(\d+)/.exec(complaint) ?? [];
  const batch = complaint.includes("@bridge") ? batches.bridge : batches.ip;
  const line = batch?.[Number(number) - 1];
  const reason = complaint.split("\n").find((candidate) => candidate.trim() !== "") ?? `exit code ${code}`;
  throw new Error(line === undefined ? `${command}: ${reason}` : `"${line}" was refused: ${reason}`);
}
