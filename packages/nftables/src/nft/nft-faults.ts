import type { ToolOutput } from "@svcproxy/host";
import { EnvironmentError, visible } from "@svcproxy/topology";
import { NftRefused } from "./nft-refused.ts";

/** Oldest versions with everything that our tables hold. */
export const OLDEST_NFT = "1.0.6";

/** What nft says where a table is not as a change takes it to be. */
const MISMATCH = /No such file or directory|File exists|Device or resource busy|does not exist|Object is busy/;

/** The fault of a command that nft did not carry out. @param doing for instance `Cannot change table ip svcproxy` */
export function nftFault(doing: string, output: ToolOutput): EnvironmentError {
  if (/Operation not permitted|must be root/i.test(output.stderr)) return needsRoot(doing);
  return new NftRefused(`${doing}: nft refused it: ${said(output)}`, { isMismatch: isMismatch(output) });
}

/** Whether a table was not as a change takes it to be. */
export function isMismatch({ stderr }: ToolOutput): boolean {
  return MISMATCH.test(stderr);
}

function needsRoot(doing: string): EnvironmentError {
  return new EnvironmentError("NEEDS_ROOT", `${doing}: this needs root (CAP_NET_ADMIN in the network namespace)`, {
    hint: "Try it with sudo",
  });
}

/** nft's own words: each error with the place that it means, on one line, so many of them. */
const MAX_ERRORS = 3;

export function said({ stderr, exitCode }: ToolOutput): string {
  const errors = stderr
    .split("\n")
    .filter((line) => /Error:/.test(line))
    .map((line) => line.replace(/^.*?Error: /, "").trim());
  const distinct = [...new Set(errors)].slice(0, MAX_ERRORS);
  const [line] = stderr.split("\n").filter((text) => text.trim() !== "");
  return visible(distinct.length > 0 ? distinct.join("; ") : (line ?? `exit code ${exitCode}`));
}
