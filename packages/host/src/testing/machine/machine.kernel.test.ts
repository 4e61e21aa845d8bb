import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe } from "vitest";
import { describeMachine, type MachineHost } from "./machine-contract.ts";
import { AS_NOBODY, machineInside } from "./machine-inside.ts";

const reason = whyNoKernelTests(["ip", "conntrack", "nsenter", "setpriv"]);

describe.skipIf(reason !== undefined)(`the kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  describeMachine("this machine", createHost);
});

async function createHost(): Promise<MachineHost> {
  const namespace = await createNetworkNamespace();
  const stopped: (() => Promise<unknown>)[] = [];
  return {
    machine: machineInside(namespace),
    nobody: machineInside(namespace, { as: AS_NOBODY }),
    async track({ protocol, client, clientPort, destination, destinationPort, server, serverPort }) {
      await namespace.run("conntrack", [
        ...["-I", "-p", protocol, "-s", client, "-d", destination, "--timeout", "60"],
        ...["--sport", String(clientPort), "--dport", String(destinationPort)],
        ...["--reply-src", server, "--reply-dst", client],
        ...["--reply-port-src", String(serverPort), "--reply-port-dst", String(clientPort)],
      ]);
    },
    async listen(port) {
      const program = `require("net").createServer().listen(${port}, "127.0.0.1", () => console.log("listening"))`;
      const child = spawn("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, process.execPath, "-e", program], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      stopped.push(() => {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        return ended;
      });
      await once(child.stdout, "data");
    },
    async [Symbol.asyncDispose]() {
      for (const stop of stopped) await stop();
      await namespace[Symbol.asyncDispose]();
    },
  };
}
