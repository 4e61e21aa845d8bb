import { ServiceCounterReader } from "@svcproxy/agent";
import { readTrackedConnections, thisMachine } from "@svcproxy/host";
import type { FollowedSource, Viewed, ViewedHost } from "@svcproxy/page";
import { type HostPlan, planHost } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { COUNTED_CONNECTIONS, pageConnections } from "./page-connections.ts";
import { countsReading } from "./service-totals.ts";

/** What this machine counts and tracks, where no agent is asked. */
export function followLive({
  logger,
  signal,
}: CommandContext): Pick<FollowedSource<Viewed>, "hasCounters" | "counts" | "connections"> {
  let planned: { readonly viewed: Viewed; readonly host: ViewedHost; readonly plan: HostPlan } | undefined;
  const planOf = (viewed: Viewed) => {
    const [host] = viewed.hosts;
    if (host === undefined || planned?.viewed === viewed) return planned;
    const { name, machineAddresses } = host;
    planned = { viewed, host, plan: planHost(viewed.topology, { host: name, machineAddresses }) };
    return planned;
  };
  let reader: ServiceCounterReader | undefined;
  return {
    hasCounters: true,
    counts: async (viewed) => {
      const found = planOf(viewed);
      if (found === undefined) return undefined;
      reader ??= new ServiceCounterReader({
        ...{ machine: thisMachine, signal, logger: await logger(), countsTraffic: false },
        dataPath: { name: hasOurTable(found.host) ? "nftables" : "iptables" },
        limit: Number.POSITIVE_INFINITY,
        plan: () => planned?.plan,
      });
      const counters = await reader.read();
      return counters === undefined ? undefined : countsReading(found.host.name, counters);
    },
    connections: async (viewed, { host, id }) => {
      const plan = planOf(viewed)?.plan;
      if (plan === undefined) return undefined;
      const question = { service: id, limit: COUNTED_CONNECTIONS };
      return pageConnections({ host, id }, await readTrackedConnections(thisMachine, { plan, question, signal }));
    },
  };
}

function hasOurTable({ texts }: ViewedHost): boolean {
  return texts.some(({ text }) => /^table ip6? svcproxy \{/m.test(text));
}
