/** What is under way for longer than this hangs; kube-proxy's measure is twice its sync period of 30 s. */
const LATE_AFTER_MS = 60_000;

/** Whether what is to be done since then should have been done by now; nothing to do is never late. */
export function isLate(since: Date | undefined, now = new Date()): boolean {
  return since !== undefined && now.getTime() - since.getTime() > LATE_AFTER_MS;
}
