import { type DialResult, type DialTarget, realProber } from "@svcproxy/doctor";
import { parseIpAddress, parsePort } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";

/** Dials what stands on stdin as a JSON list of `protocol`, `address` and `port`, and prints how each ended. */
export async function printDials(context: CommandContext): Promise<ExitCode> {
  const asked: unknown = JSON.parse((await context.readStdin()).toString("utf8"));
  const targets = (Array.isArray(asked) ? asked : []).map(readTarget);
  const results = await Promise.all(
    targets.map(async (target): Promise<DialResult> => {
      if (target === undefined) return "unreachable";
      const { protocol, address, port } = target;
      return protocol === "udp" ? realProber.dialUdp(address, port) : realProber.dial(address, port);
    }),
  );
  await context.print(`${JSON.stringify(results)}\n`);
  return 0;
}

function readTarget(value: unknown): DialTarget | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const members = new Map<string, unknown>(Object.entries(value));
  const [address, port] = [parseIpAddress(String(members.get("address"))), parsePort(Number(members.get("port")))];
  if (address === undefined || port === undefined) return undefined;
  return { protocol: members.get("protocol") === "udp" ? "udp" : "tcp", address, port };
}
