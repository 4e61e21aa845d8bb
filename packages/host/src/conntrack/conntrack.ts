import {
  EnvironmentError,
  type Family,
  familyOf,
  type IpAddress,
  type Port,
  type Protocol,
  parseIpAddress,
  parsePort,
} from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";

/** A connection as the kernel tracks it; what one client exchanges with one server over UDP counts as one too. */
export interface ConntrackEntry {
  readonly protocol: Protocol;
  readonly client: IpAddress;
  readonly clientPort: Port;
  /** What the client dialled. */
  readonly destination: IpAddress;
  readonly destinationPort: Port;
  /** Who answers: an endpoint where the packets are translated, else `destination` itself. */
  readonly server: IpAddress;
  readonly serverPort: Port;
}

/**
 * The connections of one protocol and family that the kernel tracks.
 *
 * @throws MissingTool where there is no `conntrack`
 * @throws EnvironmentError CONNTRACK_FAILED
 */
export async function listConntrack(
  machine: Pick<Machine, "run">,
  { protocol, family, signal }: { readonly protocol: Protocol; readonly family: Family; readonly signal: AbortSignal },
): Promise<readonly ConntrackEntry[]> {
  const output = await machine.run("conntrack", ["-L", "-p", protocol, "-f", familyName(family)], { signal });
  if (output.exitCode !== 0)
    throw failed(`read the ${protocol.toUpperCase()} flows that conntrack keeps`, output.stderr);
  return output.stdout.split("\n").flatMap((line) => {
    const entry = parseConntrackEntry(line);
    return entry?.protocol === protocol && familyOf(entry.destination) === family ? [entry] : [];
  });
}

const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** Reads one line of `conntrack -L`; undefined where it is something else, or of a protocol without ports. */
export function parseConntrackEntry(line: string): ConntrackEntry | undefined {
  const protocol = PROTOCOLS.find((name) => line.startsWith(`${name} `));
  if (protocol === undefined) return undefined;
  const values = (name: string) =>
    [...line.matchAll(new RegExp(` ${name}=(\\S+)`, "g"))].map((match) => match[1] ?? "");
  const [client, server] = values("src").map(parseIpAddress);
  const [destination] = values("dst").map(parseIpAddress);
  const [clientPort, serverPort] = values("sport").map((port) => parsePort(Number(port)));
  const [destinationPort] = values("dport").map((port) => parsePort(Number(port)));
  if (client === undefined || server === undefined || destination === undefined) return undefined;
  if (clientPort === undefined || serverPort === undefined || destinationPort === undefined) return undefined;
  return { protocol, client, clientPort, destination, destinationPort, server, serverPort };
}

/**
 * Makes the kernel forget connections, in one batch; one that has ended meanwhile is no fault.
 *
 * @throws MissingTool where there is no `conntrack`
 * @throws EnvironmentError CONNTRACK_FAILED
 */
export async function deleteConntrack(
  machine: Pick<Machine, "run">,
  { entries, signal }: { readonly entries: readonly ConntrackEntry[]; readonly signal: AbortSignal },
): Promise<void> {
  if (entries.length === 0) return;
  const commands = entries.map(deletion);
  const input = `${commands.map((words) => words.join(" ")).join("\n")}\n`;
  // conntrack opens /dev/stdin anew, which the socket that Node gives its children does not allow, and a pipe does.
  const output = await machine.run("sh", ["-c", "cat | conntrack --load-file -"], { input, signal });
  if (output.exitCode === 0) return;
  if (!/unrecognized option|unknown option|invalid option/i.test(output.stderr))
    throw failed("delete flows that conntrack keeps", output.stderr);
  // conntrack-tools before 1.4.7 reads no file.
  for (const words of commands) await machine.run("conntrack", words, { signal });
}

function deletion({ protocol, client, clientPort, destination, destinationPort }: ConntrackEntry): readonly string[] {
  return [
    ...["-D", "-f", familyName(familyOf(destination)), "-p", protocol],
    ...["-s", client, "-d", destination, "--sport", String(clientPort), "--dport", String(destinationPort)],
  ];
}

function familyName(family: Family): "ipv4" | "ipv6" {
  return family === 4 ? "ipv4" : "ipv6";
}

function failed(action: string, stderr: string): EnvironmentError {
  const [line = "no reason given"] = stderr.split("\n").filter((text) => text.trim() !== "");
  return new EnvironmentError("CONNTRACK_FAILED", `Cannot ${action}: ${line.trim()}`);
}
