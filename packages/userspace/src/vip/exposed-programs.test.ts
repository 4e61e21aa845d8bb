import { MemoryMachine } from "@svcproxy/host/testing";
import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { loopbackPlan } from "../testing/loopback-plan.ts";
import { exposedPrograms } from "./exposed-programs.ts";

const SSHD = { pid: 7, command: "sshd" };

function machineWith(...listeners: readonly (readonly [address: string, port: number, protocol: "tcp" | "udp"])[]) {
  const machine = new MemoryMachine();
  for (const [text, port, protocol] of listeners) {
    const address = parseIpAddress(text);
    if (address !== undefined) machine.listen({ address, port, protocol }, SSHD);
  }
  return machine;
}

const web = loopbackPlan([{ vip: "10.96.0.10", port: 80, endpoints: [["10.5.75.2", 80]] }]);

test("programs that listen on all addresses are named, with their ports, once", async () => {
  const machine = machineWith(["0.0.0.0", 10_250, "tcp"], ["0.0.0.0", 22, "tcp"], ["::", 53, "udp"]);
  const [problem, another] = await exposedPrograms(web, { machine });
  expect(another).toBeUndefined();
  expect(problem).toMatchObject({
    code: "VIP_REACHES_PROGRAMS",
    text: "VIPs lead to programs of this host that listen on all addresses: 22/tcp (sshd), 53/udp (sshd), 10250/tcp (sshd)",
  });
});

test.for([
  { name: "one address", machine: machineWith(["192.0.2.1", 22, "tcp"], ["127.0.0.1", 53, "udp"]) },
  { name: "nothing", machine: machineWith() },
])("$name is not reached", async ({ machine }) => {
  expect(await exposedPrograms(web, { machine })).toEqual([]);
});

test("without a VIP, and of the proxy itself, there is nothing to say", async () => {
  const machine = machineWith(["0.0.0.0", 22, "tcp"]);
  const nodePort = loopbackPlan([{ vip: "192.0.2.1", port: 30_080, nodePort: true, endpoints: [] }]);
  expect(await exposedPrograms(nodePort, { machine })).toEqual([]);
  expect(await exposedPrograms(web, { machine, ownPid: SSHD.pid })).toEqual([]);
});
