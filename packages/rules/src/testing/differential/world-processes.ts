import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import process from "node:process";
import type { NetworkNamespace } from "@svcproxy/lab";
import { type Observation, readObservation } from "./read-observation.ts";
import { LOG_GROUP } from "./world-wiring.ts";

export interface Sender extends AsyncDisposable {
  send(packet: Buffer, mark: number): void;
}

/**
 * Perl is part of every Debian, and has raw sockets; Node has none. A line is a mark and a packet, in hex. A socket a
 * source, bound to it where the address is the sender's own: the first route of a packet hangs on its source.
 */
const SENDER = `use Socket; use strict; my %sockets;
while (my $line = <STDIN>) {
  my ($mark, $hex) = split ' ', $line; my $p = pack('H*', $hex);
  my $is4 = ord($p) >> 4 == 4;
  my $from = $is4 ? substr($p, 12, 4) : substr($p, 8, 16); my $to = $is4 ? substr($p, 16, 4) : substr($p, 24, 16);
  my $s = $sockets{$from};
  if (!$s) {
    socket($s, $is4 ? AF_INET : AF_INET6, SOCK_RAW, 255) or die $!;
    bind($s, $is4 ? pack_sockaddr_in(0, $from) : pack_sockaddr_in6(0, $from));
    $sockets{$from} = $s;
  }
  setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1);
  setsockopt($s, SOL_SOCKET, 36, pack('L', hex $mark));
  send($s, $p, 0, $is4 ? pack_sockaddr_in(0, $to) : pack_sockaddr_in6(0, $to));
}`;

function inside(namespace: NetworkNamespace, command: string, args: readonly string[]): ChildProcessWithoutNullStreams {
  return spawn("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, command, ...args]);
}

function ending(child: ChildProcessWithoutNullStreams): () => Promise<void> {
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  return () => {
    child.stdin.end();
    child.kill();
    return exited;
  };
}

export function startSender(namespace: NetworkNamespace): Sender {
  // One CPU for all: what is sent first is through first.
  const child = inside(namespace, "taskset", ["-c", "0", "perl", "-e", SENDER]);
  child.stderr.on("data", (text: Buffer) => process.stderr.write(text));
  return {
    send: (packet, mark) => child.stdin.write(`${mark.toString(16)} ${packet.toString("hex")}\n`),
    [Symbol.asyncDispose]: ending(child),
  };
}

export interface Shell extends AsyncDisposable {
  /** @returns what it printed to stderr, where it failed */
  run(script: string): Promise<string | undefined>;
}

/** A shell that stays, because starting one a rule set would take longer than loading it. */
export function startShell(namespace: NetworkNamespace): Shell {
  const child = inside(namespace, "sh", []);
  let output = "";
  let wake: () => void = () => {};
  const gather = (text: Buffer) => {
    output += text.toString();
    wake();
  };
  child.stdout.on("data", gather);
  child.stderr.on("data", gather);
  return {
    async run(script) {
      output = "";
      child.stdin.write(`{ ${script}\n} 2>&1; echo "done $?"\n`);
      for (;;) {
        const end = /^done (\d+)$/m.exec(output);
        if (end !== null) return end[1] === "0" ? undefined : output;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: ending(child),
  };
}

/** Follows a netfilter log. */
export async function watch(
  namespace: NetworkNamespace,
  onSeen: (observation: Observation) => void,
): Promise<AsyncDisposable> {
  const child = inside(namespace, "tcpdump", [
    "-i",
    `nflog:${LOG_GROUP}`,
    "-s",
    "192",
    "-U",
    "--immediate-mode",
    "-w",
    "-",
  ]);
  let rest = Buffer.alloc(0);
  let hasHeader = false;
  child.stdout.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    if (!hasHeader) {
      if (rest.length < 24) return;
      rest = rest.subarray(24);
      hasHeader = true;
    }
    while (rest.length >= 16) {
      const length = rest.readUInt32LE(8);
      if (rest.length < 16 + length) return;
      const observation = readObservation(rest.subarray(16, 16 + length));
      rest = rest.subarray(16 + length);
      if (observation !== undefined) onSeen(observation);
    }
  });
  await new Promise<void>((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("listening on")) resolve();
    });
    child.on("exit", () => reject(new Error(`tcpdump ended: ${text}`)));
  });
  return { [Symbol.asyncDispose]: ending(child) };
}
