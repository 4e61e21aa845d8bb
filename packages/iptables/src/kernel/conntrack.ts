import { readAddresses, runTool } from "@svcproxy/host";
import type { RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, familyOf, type IpAddress } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { frontendsOf, isStale, parseUdpFlow, type UdpFlow } from "./udp-flows.ts";

export interface FlushOptions {
  /** Our own rules as they were, with the note that a killed run may have left of those before. */
  readonly before: readonly RuleSet[];
  readonly after: readonly DesiredRules[];
  readonly signal: AbortSignal;
}

/**
 * Deletes the UDP flows that go where the rules no longer send them, in one batch.
 *
 * It compares every flow with the rules as they are, not only with what this run changed: what a killed run left behind is
 * found by the next one. Frontends that are gone it knows from `before`.
 *
 * @returns how many were deleted
 * @throws MissingTool where there is UDP to look after and no `conntrack`
 * @throws EnvironmentError CONNTRACK_FAILED
 */
export async function deleteStaleUdpFlows({ before, after, signal }: FlushOptions): Promise<number> {
  const stale: UdpFlow[] = [];
  for (const family of [4, 6] as const) {
    const frontends = {
      before: frontendsOf(before.find((rules) => rules.family === family)),
      after: frontendsOf(after.find((rules) => rules.family === family)),
    };
    if (frontends.before.endpoints.size === 0 && frontends.after.endpoints.size === 0) continue;
    const host = hostAddresses();
    const isHostAddress = (address: IpAddress) => host.has(address);
    for (const flow of await listUdpFlows(family, signal)) {
      if (isStale(flow, { ...frontends, isHostAddress })) stale.push(flow);
    }
  }
  await deleteFlows(stale, signal);
  return stale.length;
}

async function listUdpFlows(family: Family, signal: AbortSignal): Promise<readonly UdpFlow[]> {
  const output = await runTool("conntrack", ["-L", "-p", "udp", "-f", familyName(family)], { signal });
  if (output.exitCode !== 0) throw failed("read", output.stderr);
  return output.stdout.split("\n").flatMap((line) => {
    const flow = parseUdpFlow(line);
    return flow === undefined || familyOf(flow.destination) !== family ? [] : [flow];
  });
}

async function deleteFlows(flows: readonly UdpFlow[], signal: AbortSignal): Promise<void> {
  if (flows.length === 0) return;
  const commands = flows.map(deletion);
  const input = `${commands.map((words) => words.join(" ")).join("\n")}\n`;
  // conntrack opens /dev/stdin anew, which the socket that Node gives its children does not allow, and a pipe does.
  const output = await runTool("sh", ["-c", "cat | conntrack --load-file -"], { input, signal });
  if (output.exitCode === 0) return;
  if (!/unrecognized option|unknown option|invalid option/i.test(output.stderr)) throw failed("delete", output.stderr);
  // conntrack-tools before 1.4.7 reads no file. A flow that ended meanwhile is not a fault.
  for (const words of commands) await runTool("conntrack", words, { signal });
}

function deletion(flow: UdpFlow): readonly string[] {
  return [
    ...["-D", "-f", familyName(familyOf(flow.destination)), "-p", "udp"],
    ...[
      "-s",
      flow.client,
      "-d",
      flow.destination,
      "--sport",
      String(flow.clientPort),
      "--dport",
      String(flow.destinationPort),
    ],
  ];
}

function familyName(family: Family): string {
  return family === 4 ? "ipv4" : "ipv6";
}

function failed(action: string, stderr: string): EnvironmentError {
  const [line = "no reason given"] = stderr.split("\n").filter((text) => text.trim() !== "");
  return new EnvironmentError(
    "CONNTRACK_FAILED",
    `Cannot ${action} the UDP flows that conntrack keeps: ${line.trim()}`,
  );
}

/** @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE */
function hostAddresses(): ReadonlySet<IpAddress> {
  const { addresses, fault } = readAddresses();
  if (fault !== undefined) throw fault;
  return new Set(addresses.map(({ address }) => address));
}
