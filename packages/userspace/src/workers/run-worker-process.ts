import process from "node:process";
import type { AccessRecord } from "../access-record.ts";
import { handleDataPlane } from "../plane/handle-streams.ts";
import { isTcpHandle, isUdpHandle, loadNativeHandles, type NativeHandles } from "../plane/native-handles.ts";
import { LocalLimiter } from "../policy/connection-limiter.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import { RemoteLimiter } from "./remote-limiter.ts";
import { Worker } from "./worker.ts";
import { type FromWorker, isToWorker, type ToWorker } from "./worker-messages.ts";
import type { DialFailureReport, ReadingPart } from "./worker-reports.ts";

/** Records are sent in batches: a message each would cost as much as the connection. */
const RECORDS_EVERY_MS = 50;
/** One report for an endpoint and error in this time. */
const QUIET_MS = 200;

/** The program of a worker process; the supervisor starts it and tells it everything. Returns at once. */
export function runWorkerProcess(): void {
  // A terminal's Ctrl-C and a service manager's SIGTERM reach all processes; the supervisor decides what they mean.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  process.on("SIGHUP", () => {});
  // Node's own handler would open its inspector to every user of this machine.
  process.on("SIGUSR1", () => {});
  process.on("disconnect", () => process.exit(0));
  let running: WorkerProcess | undefined;
  process.on("message", (message: unknown, handle: unknown) => {
    if (!isToWorker(message)) return;
    if (message.kind === "start") running = startWorker(message);
    else running?.obey(message, handle);
  });
}

function send(message: FromWorker): void {
  process.send?.(message, undefined, undefined, () => {}); // the supervisor is gone: `disconnect` follows
}

function startWorker({ options, wantsRecords }: { options: ProxyOptions; wantsRecords: boolean }): WorkerProcess {
  const native = loadNativeHandles();
  if (native === undefined) throw new Error("this Node lacks the native handles that the supervisor found");
  const worker = new WorkerProcess({ options, wantsRecords, native });
  send({ kind: "ready" });
  return worker;
}

class WorkerProcess {
  readonly #plane: ReturnType<typeof handleDataPlane>;
  /** Undefined where this is the only worker: what holds for all of them it knows itself. */
  readonly #shared: RemoteLimiter | undefined;
  readonly #worker: Worker;
  readonly #reported = new Map<string, number>();
  #records: AccessRecord[] = [];

  constructor({
    options,
    wantsRecords,
    native,
  }: { options: ProxyOptions; wantsRecords: boolean; native: NativeHandles }) {
    this.#plane = handleDataPlane(native);
    this.#shared = options.workers > 1 ? new RemoteLimiter(options, send) : undefined;
    const ended = (record: AccessRecord) => this.#record(record);
    this.#worker = new Worker({
      options,
      plane: this.#plane,
      limiter: this.#shared ?? new LocalLimiter(options, () => performance.now()),
      reports: {
        dialFailed: (report) => this.#report(report),
        overLimit: (report) => send({ kind: "over-limit", report }),
        refused: (frontend) => send({ kind: "refused", frontend }),
        fault: (error) => send({ kind: "fault", stack: stackOf(error) }),
        ...(wantsRecords ? { ended } : {}),
      },
    });
  }

  obey(message: Exclude<ToWorker, { kind: "start" }>, handle: unknown): void {
    switch (message.kind) {
      case "change":
        this.#worker.apply(message.change);
        break;
      case "listen":
        this.#listen(message.key, handle);
        break;
      case "unlisten":
        this.#worker.unlisten(message.key);
        break;
      case "down":
        this.#worker.setDown(new Set(message.endpoints));
        break;
      case "failed":
        this.#worker.endpointFailed(message.endpoint);
        break;
      case "read":
        this.#read(message.id);
        break;
      case "list":
        send({ kind: "connections", id: message.id, found: this.#worker.connections(message.question) });
        break;
      case "sync":
        send({ kind: "synced", id: message.id });
        break;
      case "drain":
        void this.#worker.drain().then(() => send({ kind: "drained" }));
        break;
      case "close":
        this.#close();
        break;
      case "admissions":
        this.#shared?.onAdmissions(message.admissions);
        break;
      case "report-use":
        this.#shared?.reportUse(message.round);
        break;
      case "share":
        this.#shared?.onShare(message.share);
        break;
    }
  }

  /** A part in each turn of the event loop: the reading of 50,000 endpoints would hold connections up. */
  #read(id: number): void {
    const parts = this.#worker.readParts();
    const sendFrom = (part: ReadingPart) => {
      const next = parts.next();
      const isLast = next.done === true;
      send({ kind: "reading", id, part, isLast });
      if (!isLast) setImmediate(sendFrom, next.value);
    };
    const first = parts.next();
    if (first.done !== true) sendFrom(first.value);
  }

  #listen(key: string, handle: unknown): void {
    if (typeof handle !== "object" || handle === null) return;
    try {
      if (isUdpHandle(handle)) this.#worker.listenUdp(key, handle);
      else if (isTcpHandle(handle)) this.#worker.listenTcp(key, this.#plane.adopt(handle));
      send({ kind: "listening", key });
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      send({ kind: "listening", key, code: String(error.code) });
    }
  }

  #report(report: DialFailureReport): void {
    const key = `${report.endpoint} ${report.code}`;
    const nowMs = performance.now();
    if (nowMs - (this.#reported.get(key) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    this.#reported.set(key, nowMs);
    send({ kind: "dial-failed", report });
  }

  #record(record: AccessRecord): void {
    if (this.#records.length === 0) setTimeout(() => this.#flush(), RECORDS_EVERY_MS);
    this.#records.push(record);
  }

  #flush(): void {
    const records = this.#records;
    this.#records = [];
    if (records.length > 0) send({ kind: "ended", records });
  }

  #close(): void {
    this.#worker.close();
    this.#flush();
    process.disconnect?.();
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
