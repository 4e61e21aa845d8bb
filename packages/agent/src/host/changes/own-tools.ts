import { readlinkSync } from "node:fs";
import { explaining, type Machine, type ToolRunner, type ToolStarter } from "@svcproxy/host";
import type { Writer } from "./change-monitors.ts";

/** Number of the first pid namespace: only there the kernel's pids are ours. @see include/linux/proc_ns.h, PROC_PID_INIT_INO */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** The kernel's word of a change may come so much later than the end of the tool that made it. */
const WORD_DELAY_MS = 500;

/** So many of the last tools are remembered. */
const REMEMBERED = 1_000;

/** Programs that change rules. */
const RULE_TOOL = /^(?:nft|x?(?:ip6?|eb|arp)?tables)\b/;

/** The tools that this process starts, by way of a shell as it is large, so that what they do is told from what others do. */
export class OwnTools implements AsyncDisposable {
  readonly machine: Machine;
  readonly #shell: ToolStarter;
  readonly #pids = new Set<number>();
  readonly #knowsPids: boolean;
  #running = 0;
  #lastEndMs = Number.NEGATIVE_INFINITY;

  constructor(machine: Machine, { knowsPids = isInFirstPidNamespace() }: { readonly knowsPids?: boolean } = {}) {
    this.#knowsPids = knowsPids;
    this.#shell = machine.startTools({});
    this.machine = {
      ...machine,
      run: this.#remembering(explaining(this.#shell.run)),
      startTools: (options) => {
        const starter = machine.startTools(options);
        const dispose = () => starter[Symbol.asyncDispose]();
        const { keep } = starter;
        return {
          run: this.#remembering(starter.run),
          ...(keep === undefined ? {} : { keep: this.#rememberingKept(keep) }),
          [Symbol.asyncDispose]: dispose,
        };
      },
    };
  }

  #remembering(run: ToolRunner): ToolRunner {
    return async (tool, args, options = {}) => {
      const onStarted = (pid: number) => {
        this.#remember(pid);
        options.onStarted?.(pid);
      };
      return this.#atWork(() => run(tool, args, { ...options, onStarted }));
    };
  }

  #rememberingKept(keep: NonNullable<ToolStarter["keep"]>): NonNullable<ToolStarter["keep"]> {
    return (options) => {
      const onWork = (pid: number) => {
        this.#remember(pid);
        options.onWork?.(pid);
      };
      const tool = keep({ ...options, onWork });
      return {
        ask: (line) => this.#atWork(() => tool.ask(line)),
        [Symbol.asyncDispose]: () => tool[Symbol.asyncDispose](),
      };
    };
  }

  async #atWork<T>(work: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#lastEndMs = performance.now();
    }
  }

  /**
   * Whether one of ours made a change. In a container the kernel's pids are others than ours: there a rule tool counts as ours while
   * one of ours runs.
   */
  isOurs({ pid, program = "" }: Writer): boolean {
    if (this.#knowsPids) return pid !== undefined && this.#pids.has(pid);
    const isAtWork = this.#running > 0 || performance.now() - this.#lastEndMs < WORD_DELAY_MS;
    return isAtWork && RULE_TOOL.test(program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell[Symbol.asyncDispose]();
  }

  #remember(pid: number): void {
    this.#pids.delete(pid);
    this.#pids.add(pid);
    const [oldest] = this.#pids;
    if (this.#pids.size > REMEMBERED && oldest !== undefined) this.#pids.delete(oldest);
  }
}

function isInFirstPidNamespace(): boolean {
  try {
    return readlinkSync("/proc/self/ns/pid") === FIRST_PID_NAMESPACE;
  } catch {
    return false;
  }
}
