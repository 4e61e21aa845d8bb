import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "@svcproxy/lab";
import type { IpAddress, Protocol } from "@svcproxy/topology";

const script = fileURLToPath(new URL("flow-agent.py", import.meta.url));

export interface Served {
  readonly protocol: Protocol;
  readonly address: IpAddress;
  readonly port: number;
}

export interface Dial {
  readonly protocol: Protocol;
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly port: number;
  /** How long to wait before it counts as silence. */
  readonly seconds: number;
}

/** What a client met. */
export type Answer =
  | { readonly endpoint: string; readonly source: string }
  | { readonly refused: true }
  /** It was accepted first. */
  | { readonly reset: true }
  | { readonly silent: true }
  | { readonly failed: string };

/** Clients and endpoints in any namespace. */
export interface FlowAgent extends AsyncDisposable {
  serve(namespace: NetworkNamespace, served: readonly Served[]): Promise<void>;
  dial(namespace: NetworkNamespace, dial: Dial): Promise<Answer>;
}

export function startFlowAgent(): FlowAgent {
  const child = spawn("python3", [script], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const waiting = new Map<number, (answer: Answer) => void>();
  let next = 0;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { id, ...answer } = JSON.parse(line);
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });
  const ask = (request: object): Promise<Answer> => {
    const id = next++;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    const gone = exited.then(() => Promise.reject<Answer>(new Error("the flow agent has gone")));
    return Promise.race([answered, gone]);
  };
  return {
    async serve({ pid }, serve) {
      const answer = await ask({ pid, serve });
      if ("failed" in answer) throw new Error(`the flow agent cannot serve: ${answer.failed}`);
    },
    dial: ({ pid }, dial) => ask({ pid, dial }),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}
