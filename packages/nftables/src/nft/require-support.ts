import { release } from "node:os";
import { nftVersion, type ToolRunner } from "@svcproxy/host";
import { EnvironmentError, type Family } from "@svcproxy/topology";
import { nftFault, OLDEST_NFT, said } from "./nft-faults.ts";
import { PROBED_FEATURES, probeTable } from "./probe-table.ts";

export interface SupportOptions {
  readonly run: ToolRunner;
  readonly signal: AbortSignal;
}

/**
 * Makes sure that nft and the kernel take a table with everything that ours may hold: `nft -c` has both look at it and changes nothing.
 *
 * @throws EnvironmentError NFT_UNSUPPORTED with what is missing, and the versions that have it; NEEDS_ROOT
 */
export async function requireSupport(family: Family, { run, signal }: SupportOptions): Promise<void> {
  const check = (input: string) => run("nft", ["-c", "-f", "-"], { input, signal });
  const output = await check(probeTable(family));
  if (output.exitCode === 0) return;
  const fault = nftFault("Cannot look at what nftables can do here", output);
  if (fault.code === "NEEDS_ROOT") throw fault;
  const missing: string[] = [];
  for (const { name, since, text } of PROBED_FEATURES) {
    if ((await check(text(family))).exitCode !== 0) missing.push(`${name} (${since})`);
  }
  const version = (await nftVersion(run)) ?? "of an unknown version";
  const here = `nft ${version} on Linux ${release()}`;
  throw new EnvironmentError(
    "NFT_UNSUPPORTED",
    missing.length === 0
      ? `Cannot keep services in nftables: ${here} does not take our table: ${said(output)}`
      : `Cannot keep services in nftables: ${here} lacks ${missing.join(", ")}`,
    { hint: `Install nft ${OLDEST_NFT} or newer on Linux 5.13 or newer, or use: svcproxy iptables` },
  );
}
