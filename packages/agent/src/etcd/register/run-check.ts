import { spawn } from "node:child_process";
import { request } from "node:http";
import { connect } from "node:net";
import process from "node:process";
import { familyOf, unreachable } from "@svcproxy/topology";
import type { Check } from "./parse-check.ts";

/** Asks once. @returns why it is not well; undefined: it is */
export async function runCheck(
  check: Check,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const ending = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  switch (check.kind) {
    case "tcp":
      return checkTcp(check, ending);
    case "http":
      return checkHttp(check, ending);
    case "exec":
      return checkByCommand(check, ending);
    default:
      return unreachable(check);
  }
}

const LATE = "it does not answer in time";

function checkTcp({ address, port }: Check & { kind: "tcp" }, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, family: familyOf(address) });
    const end = (why: string | undefined) => {
      signal.removeEventListener("abort", late);
      socket.destroy();
      resolve(why);
    };
    const late = () => end(LATE);
    signal.addEventListener("abort", late, { once: true });
    socket.once("connect", () => end(undefined)).once("error", ({ message }) => end(message));
  });
}

function checkHttp(
  { address, port, path }: Check & { kind: "http" },
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { "user-agent": "svcproxy-register", connection: "close" };
    const asked = request({ host: address, port, path, headers, agent: false, signal, family: familyOf(address) });
    asked.once("response", ({ statusCode = 0 }) => {
      resolve(statusCode >= 200 && statusCode < 400 ? undefined : `it answers ${statusCode}`);
      asked.destroy();
    });
    asked.on("error", ({ message }) => resolve(signal.aborted ? LATE : message));
    asked.end();
  });
}

function checkByCommand({ command }: Check & { kind: "exec" }, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    // A group of its own, so that whatever it started ends with it.
    const child = spawn("sh", ["-c", command], { stdio: "ignore", detached: true });
    const late = () => {
      if (child.pid !== undefined) endGroup(child.pid);
      resolve(LATE);
    };
    signal.addEventListener("abort", late, { once: true });
    child.once("error", ({ message }) => resolve(message));
    child.once("exit", (code, killedBy) => {
      signal.removeEventListener("abort", late);
      resolve(code === 0 ? undefined : `it ended with ${killedBy ?? code}`);
    });
  });
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
