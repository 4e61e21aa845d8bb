import { type Census, joinCensuses } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { KeptDataPath } from "./choose-data-path.ts";

/** What of ours is there from before, whichever data path put it there; what cannot be looked at does not count. */
export async function readCensus(
  dataPaths: readonly KeptDataPath[],
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
