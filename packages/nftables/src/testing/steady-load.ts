import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "@svcproxy/lab";

const SCRIPT = fileURLToPath(new URL("dial-steadily.py", import.meta.url));

/** What connections met. */
export interface LoadReport {
  readonly answered: number;
  readonly refused: number;
  readonly reset: number;
  /** Answered, but not before the SYN was sent again. */
  readonly late: number;
  readonly failed: number;
  readonly longestMs: number;
  readonly errors: readonly string[];
}

export interface LoadOptions {
  readonly from: NetworkNamespace;
  readonly sources: readonly string[];
  readonly to: string;
  readonly port: number;
  /** Connections a second. */
  readonly rate: number;
}

export interface SteadyLoad {
  /** Ends it. @returns what all its connections met */
  stop(): Promise<LoadReport>;
}

/** Dials at a steady rate; it goes when this resolves. */
export async function startLoad({ from, sources, to, port, rate }: LoadOptions): Promise<SteadyLoad> {
  const args = [`--net=/proc/${from.pid}/ns/net`, "python3", SCRIPT, to, String(port), String(rate), ...sources];
  const child = spawn("nsenter", args, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.value !== "ready") throw new Error(`the load did not start: ${String(first.value)}`);
  return {
    async stop() {
      child.stdin.end();
      const { value } = await lines.next();
      await exited;
      const report: LoadReport = JSON.parse(String(value));
      return report;
    },
  };
}
