import { readHostStateJson, thisMachine } from "@svcproxy/host";

/** The state of this machine as JSON, for `readHostState`. @throws EnvironmentError where `ip` is missing or refuses */
export function readLiveHostState(signal: AbortSignal): Promise<string> {
  return readHostStateJson(thisMachine, { signal });
}
