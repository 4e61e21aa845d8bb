import process from "node:process";
import { thisMachine } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import { pino } from "pino";
import { DEFAULT_PROXY_OPTIONS } from "../contract.ts";
import { createProxy } from "../proxy.ts";
import { LocalVips } from "../vip/local-vips.ts";
import { vipsOfPlan } from "../vip/vips-of-plan.ts";

/** A proxy with its VIPs in a process of its own: serves the plan that it is sent, and says `serving`. */
async function serve(plan: HostPlan): Promise<void> {
  const vips = new LocalVips({ machine: thisMachine, device: "svcproxy0", ranges: [] });
  await vips.ensure(vipsOfPlan(plan).vips);
  const proxy = await createProxy(
    { ...DEFAULT_PROXY_OPTIONS, vipDevices: ["svcproxy0"] },
    { logger: pino({ level: "warn" }) },
  );
  await proxy.apply(plan);
  process.send?.("serving");
}

process.once("message", (plan: HostPlan) => void serve(plan));
