import { familyOf } from "@svcproxy/topology";
import type { ProofPacket } from "./proof.ts";

/** `192.168.1.6 → 10.100.100.1:7070/tcp, mark 0x1`. */
export function describePacket({ from, to, protocol, port, sourcePort, mark, state }: ProofPacket): string {
  const sender = sourcePort === undefined ? from : socket(from, sourcePort);
  const dialled = port === undefined ? to : socket(to, port);
  const marked = mark === undefined ? "" : `, mark 0x${mark.toString(16)}`;
  return `${sender} → ${dialled}/${protocol}${marked}${state === undefined ? "" : `, ${state}`}`;
}

/** The flags of the `svcproxy trace` that shows it. */
export function traceFlags({ from, to, protocol, port, sourcePort, mark, state }: ProofPacket): readonly string[] {
  return [
    ...["--from", from, "--to", port === undefined ? to : socket(to, port)],
    ...(protocol === "tcp" ? [] : ["--proto", protocol]),
    ...(sourcePort === undefined ? [] : ["--sport", String(sourcePort)]),
    ...(mark === undefined ? [] : ["--mark", `0x${mark.toString(16)}`]),
    ...(state === undefined ? [] : ["--state", state]),
  ];
}

function socket(address: ProofPacket["from"], port: number): string {
  return familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}
