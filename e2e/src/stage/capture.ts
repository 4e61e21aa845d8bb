import { once } from "node:events";
import { endInside, type Lab } from "@svcproxy/lab";

export interface CaptureRequest {
  readonly place: string;
  readonly interface: string;
  readonly filter: readonly string[];
}

/** A packet of TCP over IPv4 as tcpdump prints it. */
export interface CapturedPacket {
  readonly from: string;
  readonly to: string;
  /** `S`, `S.`, `.`, `P.`, `F.`, `R`, ... */
  readonly flags: string;
  /** Sequence number of a SYN. */
  readonly sequence?: string;
}

/**
 * Captures what passes an interface while `action` runs.
 *
 * @returns tcpdump's lines
 */
export async function captureWhile(lab: Lab, request: CaptureRequest, action: () => Promise<void>): Promise<string> {
  const command = ["tcpdump", "-n", "-l", "--immediate-mode", "-i", request.interface, ...request.filter];
  const child = lab.spawn(request.place, command, { stdio: ["ignore", "pipe", "pipe"] });
  let lines = "";
  let notes = "";
  child.stdout?.on("data", (text) => {
    lines += text;
  });
  const closed = once(child, "close");
  const listening = new Promise<void>((resolve, reject) => {
    child.stderr?.on("data", (text) => {
      notes += text;
      if (notes.includes("listening on")) resolve();
    });
    void closed.then(() => reject(new Error(`tcpdump ended: ${notes.trim()}`)));
  });
  await listening;
  try {
    await action();
    // The last packets are on their way from the kernel to tcpdump.
    await new Promise((resolve) => setTimeout(resolve, 500));
  } finally {
    endInside(child, "SIGINT");
    await closed;
  }
  return lines;
}

export function readPackets(capture: string): readonly CapturedPacket[] {
  const line = / IP (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[([^\]]+)\](?:, seq (\d+))?/g;
  return [...capture.matchAll(line)].map(([, from, fromPort, to, toPort, flags = "", sequence]) => ({
    from: `${from}:${fromPort}`,
    to: `${to}:${toPort}`,
    flags,
    ...(sequence === undefined ? {} : { sequence }),
  }));
}
