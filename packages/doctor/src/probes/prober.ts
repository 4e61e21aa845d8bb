import { spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { connect } from "node:net";
import type { IpAddress, Port } from "@svcproxy/topology";

export type DialResult = "open" | "refused" | "unreachable" | "timeout";

export interface DialTarget {
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: Port;
}

/** All by which packets are sent; each call sends few and short ones, and is told of. */
export interface Prober {
  /** One connection, closed as soon as it is there. */
  dial(address: string, port: number): Promise<DialResult>;
  /** One datagram of a byte. @returns `timeout` where nothing came back, which of UDP says nothing */
  dialUdp(address: string, port: number): Promise<DialResult>;
  /** From within the network namespace of a process; absent: it cannot be entered. */
  dialAsPod?(
    pid: number,
    targets: readonly DialTarget[],
  ): Promise<{ readonly results: readonly DialResult[] } | { readonly because: string }>;
  /** One packet that may not be divided, of so many bytes with its IP header. @returns whether it was answered; undefined: it could not be sent */
  ping(address: string, bytes: number): Promise<boolean | undefined>;
}

/** Whoever is there answers within this time, over any overlay: also where the first SYN is lost, which the kernel repeats after a second. */
const DIAL_TIMEOUT_MS = 1_300;
const PING_SECONDS = 1;
/** Of IP, and of ICMP or UDP, which are of one size. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

export const realProber: Prober = {
  dial: (address, port) =>
    new Promise((resolve) => {
      const socket = connect({ host: address, port, timeout: DIAL_TIMEOUT_MS });
      const end = (result: DialResult) => {
        socket.destroy();
        resolve(result);
      };
      socket.once("connect", () => end("open"));
      // A process that did not get to run for so long has an answer that waits: it is looked for before the silence counts.
      socket.once("timeout", () => setImmediate(() => end("timeout")));
      socket.once("error", (error) =>
        end("code" in error && error.code === "ECONNREFUSED" ? "refused" : "unreachable"),
      );
    }),
  dialUdp: (address, port) =>
    new Promise((resolve) => {
      const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
      let ended = false;
      const end = (result: DialResult) => {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        socket.close();
        resolve(result);
      };
      const timer = setTimeout(() => setImmediate(() => end("timeout")), DIAL_TIMEOUT_MS);
      socket.once("message", () => end("open"));
      socket.once("error", (error) =>
        end("code" in error && error.code === "ECONNREFUSED" ? "refused" : "unreachable"),
      );
      sendConnected(socket, { address, port, bytes: 1 });
    }),
  ping: async (address, bytes) => (await pingByTool(address, bytes)) ?? knock(address, bytes),
};

/** Sends so many bytes by a socket of its own; where no way leads there, that is an error of the socket as any other. */
function sendConnected(
  socket: Socket,
  { address, port, bytes }: { readonly address: string; readonly port: number; readonly bytes: number },
): void {
  const fail = (error: Error | null | undefined) => {
    if (error !== null && error !== undefined) socket.emit("error", error);
  };
  // Without a way it is not connected, and its callback is told so instead of the socket.
  socket.connect(port, address, (...[error]: readonly (Error | undefined)[]) => {
    if (error !== undefined) fail(error);
    else socket.send(Buffer.alloc(bytes), fail);
  });
}

/** @returns undefined where there is no ping */
function pingByTool(address: string, bytes: number): Promise<boolean | undefined> {
  const size = String(bytes - HEADER_BYTES[address.includes(":") ? 6 : 4]);
  const args = ["-n", "-q", "-c", "1", "-W", String(PING_SECONDS), "-M", "do", "-s", size, address];
  return new Promise((resolve) => {
    const child = spawn("ping", args, { stdio: "ignore" });
    child.once("error", () => resolve(undefined));
    child.once("exit", (code) => resolve(code === 0 ? true : code === 1 ? false : undefined));
  });
}

/** traceroute's first: nobody listens there. */
const CLOSED_PORT = 33_434;

/** Many nodes have no ping. What comes to a port where nobody listens is answered by ICMP, and Linux sends such packets undivided. */
function knock(address: string, bytes: number): Promise<boolean | undefined> {
  const isV6 = address.includes(":");
  return new Promise((resolve) => {
    const socket = createSocket(isV6 ? "udp6" : "udp4");
    let ended = false;
    const end = (answered: boolean | undefined) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    const timer = setTimeout(() => end(false), PING_SECONDS * 1_000);
    socket.once("error", (error) => end("code" in error && error.code === "ECONNREFUSED" ? true : undefined));
    sendConnected(socket, { address, port: CLOSED_PORT, bytes: bytes - HEADER_BYTES[isV6 ? 6 : 4] });
  });
}
