import type { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { pino } from "pino";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";

// libuv's own way for want of memory: unlike EAGAIN and EMFILE it throws, and there is no process whose end is told.
const failing = vi.hoisted(() => ({ left: 0 }));
vi.mock("node:child_process", async (importActual) => {
  const actual = await importActual<typeof import("node:child_process")>();
  return {
    ...actual,
    spawn: (...args: Parameters<typeof spawn>) => {
      if (failing.left === 0) return actual.spawn(...args);
      failing.left--;
      throw Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM", errno: -12, syscall: "spawn" });
    },
  };
});

// Another file's test may have loaded the proxy before, with the real `spawn`.
vi.resetModules();
const { startProxy, until } = await import("../testing/test-proxy.ts");

beforeEach(() => {
  failing.left = 0;
});

async function startServer(): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}).end("one")).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return address.port;
}

function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    connect(port, "127.0.0.1")
      .setEncoding("utf8")
      .on("data", (text: string) => {
        said += text;
      })
      .on("error", (error) => resolve(error.message))
      .on("close", () => resolve(said));
  });
}

/** A logger, and the messages that it was given. */
function listeningLogger() {
  const said: string[] = [];
  const logger = pino({ level: "info" }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  return { logger, said };
}

test.for([
  // The only one there is: this process carries connections itself.
  { workers: 1, port: 21_801, says: "no worker process can be started: this one carries connections itself" },
  // Tried again every second.
  { workers: 2, port: 21_802, says: "a worker cannot be started" },
])("where no memory is left for $workers workers it is said, and served once there is some", async (given) => {
  const { logger, said } = listeningLogger();
  failing.left = 3;
  const endpoints = [["127.0.0.1", await startServer()]] as const;
  await startProxy([{ vip: "127.0.0.1", port: given.port, endpoints }], { workers: given.workers, logger });
  expect(said).toContain(given.says);
  expect(
    await until(
      () => ask(given.port),
      (answer) => answer === "one",
      60_000,
    ),
  ).toBe("one");
});
