import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { NetworkNamespace } from "@svcproxy/lab";

/** Answers each line with the same line. */
const ECHO = `
import socketserver, sys
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(line)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
with socketserver.ThreadingTCPServer((sys.argv[1], int(sys.argv[2])), Echo) as server:
    print("ready", flush=True)
    server.serve_forever()
`;

/** Sends what it is told, and tells what it gets. */
const CLIENT = `
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as client, client.makefile("rw") as lines:
    print("ready", flush=True)
    for line in sys.stdin:
        lines.write(line)
        lines.flush()
        print(lines.readline(), end="", flush=True)
`;

export interface Place {
  readonly at: NetworkNamespace;
  readonly address: string;
  readonly port: number;
}

/** A TCP connection that stays open. */
export interface LongConnection extends AsyncDisposable {
  /** Sends a line and waits for its echo. @throws Error where the connection is no more */
  exchange(line: string): Promise<void>;
}

/** Opens a connection to a service from `from`, for which `endpoint` answers. */
export async function openLongConnection(input: {
  readonly from: NetworkNamespace;
  readonly service: Omit<Place, "at">;
  readonly endpoint: Place;
}): Promise<LongConnection> {
  const { from, service, endpoint } = input;
  await using stack = new AsyncDisposableStack();
  const start = async (script: string, { at, address, port }: Place) => {
    const program = spawn("nsenter", [`--net=/proc/${at.pid}/ns/net`, "python3", "-c", script, address, String(port)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    stack.defer(() => stop(program));
    const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
    if ((await lines.next()).value !== "ready") throw new Error(`no connection to ${address}:${port}`);
    return { stdin: program.stdin, lines };
  };
  await start(ECHO, endpoint);
  const { stdin, lines } = await start(CLIENT, { ...service, at: from });
  const owned = stack.move();
  return {
    async exchange(line) {
      stdin.write(`${line}\n`);
      const { value } = await lines.next();
      if (value !== line) throw new Error(`${JSON.stringify(value)} came back for ${JSON.stringify(line)}`);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function stop(program: ChildProcess): Promise<void> {
  if (program.exitCode !== null || program.signalCode !== null) return;
  program.kill("SIGKILL");
  await once(program, "exit");
}
