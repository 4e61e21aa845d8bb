import { MemoryMachine } from "@svcproxy/host/testing";
import { type Family, parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { loopbackPlan } from "../testing/loopback-plan.ts";
import { exposedPrograms } from "./exposed-programs.ts";

const NOT_ISOLATED: ReadonlyMap<Family, string> = new Map(
  [4, 6].map((family) => [family === 4 ? 4 : 6, "--no-vip-isolation"]),
);
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
  const [problem, another] = await exposedPrograms(web, { machine, notIsolated: NOT_ISOLATED });
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
  expect(await exposedPrograms(web, { machine, notIsolated: NOT_ISOLATED })).toEqual([]);
});

test("without a VIP, and of the proxy itself, there is nothing to say", async () => {
  const machine = machineWith(["0.0.0.0", 22, "tcp"]);
  const nodePort = loopbackPlan([{ vip: "192.0.2.1", port: 30_080, nodePort: true, endpoints: [] }]);
  expect(await exposedPrograms(nodePort, { machine, notIsolated: NOT_ISOLATED })).toEqual([]);
  expect(await exposedPrograms(web, { machine, notIsolated: NOT_ISOLATED, ownPid: SSHD.pid })).toEqual([]);
});

test("where VIPs are isolated, only a program on a port of a service is named", async () => {
  const machine = machineWith(["0.0.0.0", 22, "tcp"], ["::", 80, "tcp"], ["0.0.0.0", 80, "udp"]);
  const [problem] = await exposedPrograms(web, { machine, notIsolated: new Map() });
  expect(problem?.text).toBe("VIPs lead to programs of this host that listen on all addresses: 80/tcp (sshd)");
  expect(problem?.hint).toContain("on ports that no service has");
});
