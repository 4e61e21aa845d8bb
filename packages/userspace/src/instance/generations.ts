import { chmod, readdir, unlink } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import { askSocket, listens, readQuestion, sendAnswer } from "./control-socket.ts";
import type { DrainOrder, Generation, GenerationFacts, GenerationService, Generations } from "./generation.ts";
import type { InstancePlace } from "./instance-place.ts";
import { parseJson } from "./ipc-channel.ts";

/** A busy one may take so long to answer. */
const ANSWER_TIMEOUT_MS = 2_000;
const MAX_CONNECTIONS = 8;

/** Lets the successors of this process ask for what it has left. */
export async function serveGeneration(place: InstancePlace, service: GenerationService): Promise<Server> {
  const path = pathOf(place, process.pid);
  const server = createServer((socket) => {
    readQuestion(socket, (question) => {
      if (isDrain(question)) service.drain(question.timeoutMs);
      void service.facts().then(
        (facts) => sendAnswer(socket, facts),
        () => socket.destroy(),
      );
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("error", () => {});
  await unlink(path).catch(() => {});
  await listens(server, path);
  await chmod(path, 0o600);
  return server.unref();
}

/** All of a place; what a killed one left is cleared away. */
export async function readGenerations(place: InstancePlace): Promise<Generations> {
  const pids = (await readdir(dirname(place.controlPath)).catch(() => [])).flatMap((name) => pidOf(place, name) ?? []);
  const known: Generation[] = [];
  const silent: number[] = [];
  for (const pid of pids) {
    const answer = await ask(place, pid, { kind: "facts" });
    if (answer === "silent") silent.push(pid);
    else if (answer !== "gone") known.push({ pid, ...answer });
  }
  return { known: known.sort((a, b) => a.takenOverAt.localeCompare(b.takenOverAt)), silent };
}

/** Tells one to end within this time. */
export async function drainGeneration(place: InstancePlace, { pid, timeoutMs }: DrainOrder): Promise<void> {
  await ask(place, pid, { kind: "drain", timeoutMs });
}

async function ask(place: InstancePlace, pid: number, question: object): Promise<GenerationFacts | "silent" | "gone"> {
  const path = pathOf(place, pid);
  try {
    const facts = parseJson(await askSocket(path, { question, timeoutMs: ANSWER_TIMEOUT_MS }));
    return isFacts(facts) ? facts : "silent";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ECONNREFUSED" && code !== "ENOENT") return "silent";
    await unlink(path).catch(() => {});
    return "gone";
  }
}

function pathOf({ controlPath }: InstancePlace, pid: number): string {
  return join(dirname(controlPath), `${stemOf(controlPath)}.${pid}.sock`);
}

function pidOf({ controlPath }: InstancePlace, name: string): number | undefined {
  const stem = `${stemOf(controlPath)}.`;
  const [, pid] = (name.startsWith(stem) && /^(\d+)\.sock$/.exec(name.slice(stem.length))) || [];
  return pid === undefined ? undefined : Number(pid);
}

function stemOf(controlPath: string): string {
  return controlPath.slice(dirname(controlPath).length + 1).replace(/\.sock$/, "");
}

function isDrain(question: unknown): question is { readonly kind: "drain"; readonly timeoutMs: number } {
  if (typeof question !== "object" || question === null || !("kind" in question) || question.kind !== "drain")
    return false;
  return "timeoutMs" in question && typeof question.timeoutMs === "number";
}

function isFacts(value: unknown): value is GenerationFacts {
  if (typeof value !== "object" || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return (
    typeof members.get("takenOverAt") === "string" &&
    typeof members.get("connections") === "number" &&
    typeof members.get("isDraining") === "boolean" &&
    Array.isArray(members.get("inUse"))
  );
}
