import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describeFlows, EDGE } from "@svcproxy/host/testing";
import { planHost } from "@svcproxy/topology";

const PROGRAM = fileURLToPath(new URL("testing/plan-program.ts", import.meta.url));

describeFlows(
  [
    {
      name: "userspace",
      style: "userspace",
      protocols: ["tcp", "udp"],
      carries: "relay",
      crowded: false,
      async serve({ topology, host }) {
        const child = spawn("nsenter", [`--net=/proc/${host.pid}/ns/net`, process.execPath, PROGRAM], {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
        });
        const exited = once(child, "exit");
        child.send(planHost(topology, { host: EDGE }));
        await Promise.race([once(child, "message"), exited.then(() => Promise.reject(new Error("the proxy ended")))]);
        return {
          async [Symbol.asyncDispose]() {
            child.kill("SIGKILL");
            await exited;
          },
        };
      },
    },
  ],
  { tools: [] },
);
