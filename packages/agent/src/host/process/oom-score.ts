import { writeFile } from "node:fs/promises";

/**
 * Says when the kernel is to take this process where memory runs out.
 *
 * @param score -1000, never, to 1000, first
 * @returns whether it was taken: lowering it takes CAP_SYS_RESOURCE
 */
export async function setOomScore(score: number): Promise<boolean> {
  try {
    await writeFile("/proc/self/oom_score_adj", String(score));
    return true;
  } catch {
    return false;
  }
}
