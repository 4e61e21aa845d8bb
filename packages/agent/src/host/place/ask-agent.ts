import { request } from "node:http";
import { systemCode } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { agentSocketToAsk } from "./agent-place.ts";

/** An agent that is busy answers within this time. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Most that an answer may have: the status of some 100,000 service ports. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

export interface AgentAnswer {
  readonly code: number;
  /** JSON, parsed. */
  readonly value: unknown;
}

/**
 * Asks the agent of this network namespace.
 *
 * @param question what and how, for instance `GET /v1/status`
 * @throws EnvironmentError NOT_RUNNING where none runs, NEEDS_ROOT where this user may not ask, OTHER_VERSION for what is no JSON
 */
export async function askAgent(question: string): Promise<AgentAnswer> {
  const path = await agentSocketToAsk();
  const [method = "GET", url = "/"] = question.split(" ");
  const { code, text } = await ask({ path, method, url }).catch((error: unknown) => {
    throw explain(error, path);
  });
  try {
    return { code, value: JSON.parse(text) };
  } catch (cause) {
    throw new EnvironmentError("OTHER_VERSION", `The agent at ${path} answers something else than JSON`, { cause });
  }
}

function ask({ path, method, url }: { readonly path: string; readonly method: string; readonly url: string }) {
  return new Promise<{ readonly code: number; readonly text: string }>((resolve, reject) => {
    const asked = request({ socketPath: path, method, path: url, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) asked.destroy(new Error("it answers more than can be"));
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ code: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    asked.on("timeout", () => asked.destroy(new Error(`it did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`)));
    asked.on("error", reject);
    asked.end();
  });
}

function explain(error: unknown, path: string): unknown {
  switch (systemCode(error)) {
    case "ENOENT":
    case "ECONNREFUSED":
      return new EnvironmentError("NOT_RUNNING", `No svcproxy run answers on ${path}`, {
        cause: error,
        hint: "Start it: svcproxy run; or ask in the network namespace and as the user that it runs in",
      });
    case "EACCES":
    case "EPERM":
      return new EnvironmentError("NEEDS_ROOT", `This user may not ask the agent on ${path}`, {
        cause: error,
        hint: "Try it with sudo, or start the agent with --socket-group and one of your groups",
      });
    default:
      if (!(error instanceof Error)) return error;
      return new EnvironmentError("NOT_RUNNING", `The agent on ${path} does not answer: ${error.message}`, {
        cause: error,
      });
  }
}
