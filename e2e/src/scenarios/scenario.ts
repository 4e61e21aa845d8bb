import type { Stage } from "../stage/stage.ts";

/** One thing that svcproxy promises, and how it is seen to be so. */
export interface Scenario {
  /** For `--scenario` and the matrix. */
  readonly name: string;
  /** The promise in one sentence. */
  readonly promise: string;
  /** Why it cannot be played on this stage; undefined where it can. */
  readonly notApplicable?: (stage: Pick<Stage, "dataPath" | "overlay">) => string | undefined;
  /** Plays it. @throws Error where the promise is broken */
  readonly play: (stage: Stage) => Promise<void>;
}
