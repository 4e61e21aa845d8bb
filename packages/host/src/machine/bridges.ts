import { MissingTool } from "../tools/run-tool.ts";
import type { Machine } from "./machine.ts";

/** The names of the bridges of this network namespace; none where `ip` cannot tell. */
export async function listBridges(
  machine: Pick<Machine, "run">,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await machine.run("ip", ["-json", "link", "show", "type", "bridge"], { signal });
    return exitCode === 0 ? namesIn(stdout) : [];
  } catch (error) {
    if (error instanceof MissingTool) return [];
    throw error;
  }
}

/** @param json a list of links; some versions print an empty object for what they leave out */
function namesIn(json: string): readonly string[] {
  const links: unknown = JSON.parse(json.trim() === "" ? "[]" : json);
  return (Array.isArray(links) ? links : []).flatMap((link: unknown) =>
    typeof link === "object" && link !== null && "ifname" in link && typeof link.ifname === "string"
      ? [link.ifname]
      : [],
  );
}
