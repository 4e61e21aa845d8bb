import { parseIpAddress } from "@svcproxy/topology";
import { describeMachine } from "./machine-contract.ts";
import { MemoryMachine } from "./memory-machine.ts";

describeMachine("a machine in memory", async () => {
  const machine = new MemoryMachine();
  const loopback = parseIpAddress("127.0.0.1");
  if (loopback === undefined) throw new TypeError("127.0.0.1 is an address");
  return {
    machine,
    nobody: new MemoryMachine({ hasNetAdmin: false }),
    track: async (entry) => machine.track(entry),
    listen: async (port) => machine.listen({ protocol: "tcp", address: loopback, port }, { pid: 7, command: "node" }),
    [Symbol.asyncDispose]: async () => {},
  };
});
