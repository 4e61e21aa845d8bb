import process from "node:process";
import {
  type ApplyOptions,
  type ApplyReport,
  type CleanupReport,
  type DataPathSession,
  type PlanDifference,
  thisMachine,
} from "@svcproxy/host";
import { EnvironmentError, type HostPlan } from "@svcproxy/topology";
import { pino } from "pino";
import { DEFAULT_PROXY_OPTIONS } from "../proxy-options.ts";
import { UserspaceDataPath } from "../userspace-data-path.ts";

/** What a test asks of the data path in another process, and gets with the `id` of the question. */
export type DataPathQuestion = { readonly id: number; readonly isAborted?: boolean } & (
  | { readonly kind: "open" | "cleanup" | "close" | "abort" }
  | { readonly kind: "apply"; readonly plan: HostPlan; readonly options: ApplyOptions }
  | { readonly kind: "compare"; readonly plan: HostPlan }
);

export interface DataPathAnswer {
  readonly id: number;
  /** What the call returned, where it returns something. */
  readonly report?: Omit<ApplyReport, "found">;
  readonly difference?: PlanDifference;
  readonly cleanup?: CleanupReport;
  readonly status: ReturnType<DataPathSession["status"]>;
  readonly error?: { readonly isEnvironmentError: boolean; readonly code: string; readonly message: string };
}

/** A function does not go from one process to another. */
function answerable({ found: _found, ...report }: ApplyReport): Omit<ApplyReport, "found"> {
  return report;
}

/** The userspace data path of the network namespace that this process is in. Argument: the runtime directory. */
async function main(runtimeDirectory: string): Promise<void> {
  const dataPath = new UserspaceDataPath(
    {
      proxy: DEFAULT_PROXY_OPTIONS,
      instance: { runtimeDirectory, name: "data-path" },
      vipDevice: "svcproxy0",
      vipRanges: [],
      vipIsolation: "auto",
      requireAll: false,
    },
    {
      logger: pino({ level: "error" }),
      machine: thisMachine,
      status: async () => ({ pid: process.pid }),
      onTakenOver: () => {},
    },
  );
  let session: DataPathSession | undefined;
  let ending = new AbortController();
  const carryOut = async (
    question: DataPathQuestion,
  ): Promise<Pick<DataPathAnswer, "report" | "difference" | "cleanup">> => {
    const signal = question.isAborted === true ? AbortSignal.abort() : new AbortController().signal;
    switch (question.kind) {
      case "open":
        ending = new AbortController();
        session = await dataPath.open(question.isAborted === true ? signal : ending.signal);
        return {};
      case "apply":
        if (session === undefined) throw new Error("there is no session");
        return { report: answerable(await session.apply(question.plan, question.options)) };
      case "compare":
        return { difference: await dataPath.compare(question.plan, { signal }) };
      case "cleanup":
        return { cleanup: await dataPath.cleanup({ signal }) };
      case "abort":
        ending.abort();
        return {};
      case "close":
        await session?.[Symbol.asyncDispose]();
        session = undefined;
        return {};
    }
  };
  const answer = async (question: DataPathQuestion): Promise<DataPathAnswer> => {
    const { id } = question;
    try {
      return { id, ...(await carryOut(question)), status: session?.status() ?? [] };
    } catch (error) {
      const { code, message } = { code: "", message: String(error), ...pick(error) };
      const isEnvironmentError = error instanceof EnvironmentError;
      return { id, error: { isEnvironmentError, code, message }, status: session?.status() ?? [] };
    }
  };
  process.on("message", (question: DataPathQuestion) => void answer(question).then((given) => process.send?.(given)));
  process.on("disconnect", () => process.exit(0));
  process.send?.({ id: 0, status: [] } satisfies DataPathAnswer);
}

function pick(error: unknown): { readonly code?: string; readonly message?: string } {
  if (!(error instanceof Error)) return {};
  return { message: error.message, ...("code" in error ? { code: String(error.code) } : {}) };
}

await main(process.argv[2] ?? "");
