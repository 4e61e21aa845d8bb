import { createServer } from "node:net";
import process from "node:process";
import type { PodDetector } from "@svcproxy/topology";
import { pino } from "pino";
import type { InstanceOptions } from "../instance/instance-options.ts";
import { claimInstance } from "../instance.ts";
import { createProxy } from "../proxy.ts";
import { DEFAULT_PROXY_OPTIONS } from "../proxy-options.ts";
import { loopbackPlan, type TestService } from "./loopback-plan.ts";

interface Settings {
  readonly place: InstanceOptions;
  readonly services: readonly TestService[];
  readonly workers: number;
  readonly podDetector?: PodDetector;
  /** Servers on 127.0.0.1 that say their name. */
  readonly servers?: readonly { readonly name: string; readonly port: number }[];
}

/** A proxy in a process of its own, for tests of the hand-over: says `serving`, and ends when it was taken over. */
async function main({ place, services, workers, podDetector, servers = [] }: Settings): Promise<void> {
  for (const { name, port } of servers) createServer((socket) => socket.end(name)).listen(port, "127.0.0.1");
  const claim = await claimInstance(place);
  const { inherited } = claim;
  const proxy = await createProxy(
    { ...DEFAULT_PROXY_OPTIONS, workers },
    { logger: pino({ level: "silent" }), ...(inherited === undefined ? {} : { inherited }) },
  );
  await proxy.apply(loopbackPlan(services, podDetector));
  const onTakenOver = async () => {
    await proxy.drain(5_000);
    process.disconnect?.();
  };
  await claim.serve({
    proxy,
    status: () => proxy.snapshot(),
    served: () => ({}),
    onTakenOver: () => void onTakenOver(),
    generation: {
      facts: async () => ({ takenOverAt: "", connections: 0, udpSessions: 0, isDraining: true, inUse: [] }),
      drain: () => {},
    },
  });
  process.send?.("serving");
}

await main(JSON.parse(process.argv[2] ?? ""));
