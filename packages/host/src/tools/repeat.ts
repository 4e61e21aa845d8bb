export interface RepeatOptions {
  readonly everyMs: number;
  /** What `work` threw; it is called again at its time all the same. */
  readonly onFault: (error: unknown) => void;
}

/** Calls `work` from time to time until `clearInterval`; a fault of it ends nothing, as it would where a timer throws. */
export function repeat(work: () => void | Promise<void>, { everyMs, onFault }: RepeatOptions): NodeJS.Timeout {
  const once = async () => work();
  return setInterval(() => void once().catch(onFault), everyMs);
}
