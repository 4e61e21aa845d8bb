import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  type ApplyOptions,
  type ApplyReport,
  type Census,
  type CleanupReport,
  type DataPath,
  type DataPathSession,
  EMPTY_CENSUS,
  type PlanDifference,
} from "@svcproxy/host";
import { EnvironmentError, type HostPlan } from "@svcproxy/topology";
import { userspaceLimitations } from "../userspace-limitations.ts";
import type { DataPathAnswer, DataPathQuestion } from "./data-path-program.ts";

const PROGRAM = fileURLToPath(new URL("data-path-program.ts", import.meta.url));

/** The userspace data path in a process of its own, in the network namespace of another one. */
export class RemoteDataPath implements DataPath, AsyncDisposable {
  readonly name = "userspace";
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: DataPathAnswer) => void>();
  #status: DataPathAnswer["status"] = [];
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (answer: DataPathAnswer) => {
      this.#status = answer.status;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** @param where the process whose network namespace it is to be, and where its lock is */
  static async start({ pid, folder }: { pid: number; folder: string }): Promise<RemoteDataPath> {
    const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, process.execPath, PROGRAM, folder], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    const started = once(child, "message");
    const exited = once(child, "exit").then(() => Promise.reject(new Error("the data path ended")));
    await Promise.race([started, exited]);
    exited.catch(() => {});
    return new RemoteDataPath(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async #ask(question: Question): Promise<DataPathAnswer> {
    const id = this.#nextId++;
    const answer = await new Promise<DataPathAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, ...question });
    });
    if (answer.error !== undefined) throw errorFrom(answer.error);
    return answer;
  }

  limitations(plan: HostPlan) {
    return userspaceLimitations(plan);
  }

  async compare(plan: HostPlan, { signal }: { readonly signal: AbortSignal }): Promise<PlanDifference> {
    const { difference } = await this.#ask({ kind: "compare", plan, isAborted: signal.aborted });
    return expected(difference);
  }

  async census(): Promise<Census> {
    return EMPTY_CENSUS;
  }

  async cleanup({ signal }: { readonly signal: AbortSignal }): Promise<CleanupReport> {
    const { cleanup } = await this.#ask({ kind: "cleanup", isAborted: signal.aborted });
    return expected(cleanup);
  }

  async open(signal: AbortSignal): Promise<DataPathSession> {
    await this.#ask({ kind: "open", isAborted: signal.aborted });
    this.#status = [];
    const abort = () => this.#child.send({ id: this.#nextId++, kind: "abort" });
    signal.addEventListener("abort", abort, { once: true });
    return {
      apply: async (plan: HostPlan, options: ApplyOptions = {}): Promise<ApplyReport> => {
        const { report } = await this.#ask({ kind: "apply", plan, options });
        return expected(report);
      },
      status: () => this.#status,
      [Symbol.asyncDispose]: async () => {
        signal.removeEventListener("abort", abort);
        await this.#ask({ kind: "close" });
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

type Question = DataPathQuestion extends infer Each ? (Each extends unknown ? Omit<Each, "id"> : never) : never;

function errorFrom({ isEnvironmentError, code, message }: NonNullable<DataPathAnswer["error"]>): Error {
  if (!isEnvironmentError) return new Error(`${message} [${code}]`);
  return Object.assign(new EnvironmentError("INTERRUPTED", message), { code });
}

function expected<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the data path returned something else");
  return value;
}
