import { type Census, joinCensuses } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { KeptDataPath } from "./choose-data-path.ts";

/** What is there from before is taken to be what it was so long ago: another agent that changes it is about to end. */
const LASTS_MS = 5_000;

/** As `readCensus`, which looks now, whenever it is asked for. @returns what tells it; whoever asks late has it looked at anew */
export function censusFromNow(
  dataPaths: readonly Pick<KeptDataPath, "census">[],
  { signal }: { readonly signal: AbortSignal },
): () => Promise<Census> {
  const [found, lookedAtMs] = [readCensus(dataPaths, { signal }), performance.now()];
  // Whoever asks for it is told, if anybody does.
  found.catch(() => {});
  return () => (performance.now() - lookedAtMs < LASTS_MS ? found : readCensus(dataPaths, { signal }));
}

/** What of ours is there from before, whichever data path put it there; what cannot be looked at does not count. */
export async function readCensus(
  dataPaths: readonly Pick<KeptDataPath, "census">[],
  { signal }: { readonly signal: AbortSignal },
): Promise<Census> {
  const parts = await Promise.all(
    dataPaths.map(async (dataPath) => {
      try {
        return [await dataPath.census({ signal })];
      } catch (error) {
        if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
        return [];
      }
    }),
  );
  return joinCensuses(parts.flat());
}
