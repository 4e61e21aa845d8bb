import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { buildNetwork } from "./build-network.ts";
import { holdHosts } from "./hold-hosts.ts";
import { INSIDE_FOLDER, type LabEvent, type LabOrder } from "./lab-message.ts";
import { servePods } from "./serve-pods.ts";

/** How often the one who watches is told what the pods have served. */
const TELL_EVERY_MS = 500;

/**
 * The first process of a lab: builds it, answers in its pods' names, and is what keeps it there. When it ends, the
 * kernel ends all else in its PID namespace, and with the last process go the networks.
 */
export async function supervise(): Promise<void> {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => process.exit(0));
  process.stdout.on("error", () => {}); // nobody listens any more; the lab goes on
  const input = createInterface({ input: process.stdin });
  const [line] = await once(input, "line");
  const order: LabOrder = JSON.parse(String(line));
  if (order.attached) input.once("close", () => process.exit(0));
  try {
    await build(order);
  } catch (error) {
    tell({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
    process.stdout.end(() => process.exit(1));
  }
}

async function build({ plan, files, attached }: LabOrder): Promise<void> {
  for (const [name, content] of Object.entries(files)) writeFileSync(`${INSIDE_FOLDER}/${name}`, content);
  mkdirSync(`${INSIDE_FOLDER}/hosts`, { recursive: true });
  const begun = performance.now();
  await buildNetwork(plan);
  const wired = performance.now();
  const holders = await holdHosts(plan.places);
  const counts = await servePods(plan.servers);
  tell({ kind: "ready", holders, networkMs: wired - begun, serversMs: performance.now() - wired });
  // The lab stays although nothing is left to do: in background nothing else may keep this process.
  let told = "";
  setInterval(() => {
    const now = JSON.stringify(Object.fromEntries(counts));
    if (!attached || now === told) return;
    told = now;
    tell({ kind: "served", counts: Object.fromEntries(counts) });
  }, TELL_EVERY_MS);
}

function tell(event: LabEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
