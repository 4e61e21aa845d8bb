import { repeat } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { ChosenDataPath } from "./choose-data-path.ts";

/** A tool that is installed is found after so long; a look costs some milliseconds. */
const LOOK_MS = 60_000;

/** Says when a better data path than the one that was chosen could be used by now. It is not switched to: that is for a restart, when it suits. */
export function watchForBetter(
  chosen: ChosenDataPath,
  { logger, everyMs = LOOK_MS }: { readonly logger: Logger; readonly everyMs?: number },
): Disposable {
  if (chosen.missed.length === 0) return { [Symbol.dispose]: () => {} };
  const timer = repeat(() => look(chosen, logger), {
    everyMs,
    onFault: (err) => logger.warn({ err }, "cannot tell whether a better data path can be used"),
  });
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function look(chosen: ChosenDataPath, logger: Logger): Promise<void> {
  const before = chosen.better;
  for (const { name, probe } of chosen.missed) {
    try {
      await probe();
    } catch (error) {
      if (error instanceof EnvironmentError) continue;
      throw error;
    }
    chosen.better = name;
    if (name !== before)
      logger.info(
        { dataPath: name },
        `data path ${name} could be used by now; a restart of svcproxy run would take it`,
      );
    return;
  }
  delete chosen.better;
}
