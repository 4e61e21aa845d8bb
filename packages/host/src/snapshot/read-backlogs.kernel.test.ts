import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { thisMachine } from "../machine/machine.ts";
import { readPodNamespaces } from "../machine/pod-namespaces.ts";
import { readBacklogs } from "./read-backlogs.ts";

const reason = whyNoKernelTests(["ip", "nsenter", "ss", "python3"]);
const { signal } = new AbortController();

/** Listens with room for two, and is dialled by so many before it says so; it accepts none. */
const DEAF = `
import socket, sys
ears = socket.socket(); ears.bind(("127.0.0.1", 3000)); ears.listen(1)
callers = [socket.socket() for _ in range(int(sys.argv[1]))]
for caller in callers:
  caller.setblocking(False); caller.connect_ex(("127.0.0.1", 3000))
print("dialled", flush=True); sys.stdin.read()
`;

describe.skipIf(reason !== undefined)(`how many may wait${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for([
    [1, { waiting: 1, backlog: 1 }],
    [4, { waiting: 2, backlog: 1 }],
  ] as const)("at a socket that %s have dialled", async ([callers, wanted]) => {
    await using namespace = await createNetworkNamespace();
    // A namespace without an address is no pod.
    await namespace.run("sh", ["-e", "-c", "ip link set lo up; ip addr add 10.5.75.2/32 dev lo"]);
    const args = [`--net=/proc/${namespace.pid}/ns/net`, "python3", "-c", DEAF, String(callers)];
    const deaf = spawn("nsenter", args, { stdio: ["pipe", "pipe", "inherit"] });
    try {
      for await (const line of createInterface(deaf.stdout)) if (line === "dialled") break;
      const look = async () => {
        const pods = (await readPodNamespaces()).filter(({ pid }) => pid === namespace.pid);
        const [pod] = await readBacklogs(thisMachine, { pods, signal });
        return { listeners: pod?.listeners, turnedAway: (pod?.listenOverflows ?? 0) > 0 };
      };
      const listeners = [{ protocol: "tcp", port: 3000, ...wanted }];
      await expect
        .poll(look, { timeout: 30_000 })
        .toMatchObject({ listeners, turnedAway: wanted.waiting > wanted.backlog });
    } finally {
      deaf.stdin.end();
    }
  });
});
