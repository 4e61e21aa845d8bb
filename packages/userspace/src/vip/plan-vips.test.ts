import { MemoryMachine } from "@svcproxy/host/testing";
import { EnvironmentError } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, test } from "vitest";
import { ip, loopbackPlan } from "../testing/loopback-plan.ts";
import { PlanVips } from "./plan-vips.ts";

const VIP = "10.100.100.1";
const plan = loopbackPlan([{ vip: VIP, port: 80, endpoints: [["127.0.0.9", 80]] }]);

function vipsOn(machine: MemoryMachine): PlanVips {
  return new PlanVips({
    machine,
    logger: pino({ level: "silent" }),
    vipDevice: "svcproxy0",
    vipRanges: [],
    isolates: false,
    portsInUse: async () => [],
  });
}

test("a VIP for which `ip` could not be started is made local when the same plan is tried again", async () => {
  const inner = new MemoryMachine();
  let hasMemory = false;
  const machine = new MemoryMachine({
    tools: {
      ip: (args, { input = "" }) => {
        if (!hasMemory) throw new EnvironmentError("TOOL_FAILED", "Cannot run ip: ENOMEM");
        return inner.ip.run(args, input);
      },
    },
  });
  const vips = vipsOn(machine);
  await vips.make(plan, { isFull: true });
  expect([...vips.notLocal]).toEqual([[VIP, "Cannot run ip: ENOMEM"]]);
  expect(vips.problems()).toMatchObject([{ code: "VIP_NOT_LOCAL" }]);
  hasMemory = true;
  await vips.make(plan, { isFull: false });
  expect([...vips.notLocal]).toEqual([]);
  expect(inner.readAddresses().addresses.map(({ address }) => address)).toContain(ip(VIP));
});

test("one that this process may never make local is not asked for again and again", async () => {
  const machine = new MemoryMachine({ hasNetAdmin: false });
  const vips = vipsOn(machine);
  await vips.make(plan, { isFull: true });
  expect(vips.notLocal.get(ip(VIP))).toContain("CAP_NET_ADMIN");
  const asked = machine.commands.length;
  await vips.make(plan, { isFull: false });
  expect(machine.commands).toHaveLength(asked);
});
