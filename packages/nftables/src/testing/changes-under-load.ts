import { parseTopology, planHost } from "@svcproxy/topology";
import { parseCounters } from "../counters/service-counters.ts";
import { kernelMachine } from "../data-path/kernel-machine.ts";
import { NftablesDataPath } from "../data-path/nftables-data-path.ts";
import { PODS_OF_BOTH, randomPod, randomSource } from "./random-cluster.ts";
import { ASKING_PODS, createServiceWorld } from "./service-world.ts";
import { type LoadReport, startLoad } from "./steady-load.ts";

export interface ChangesUnderLoad {
  readonly seed: number;
  readonly changes: number;
  /** Connections a second. */
  readonly rate: number;
  /** Whether clients stay with their endpoint. */
  readonly isSticky: boolean;
  readonly family: 4 | 6;
}

export interface ReportUnderLoad extends LoadReport {
  /**
   * First packets that our table dropped: each connection meets it once, unless its SYN has to be sent again. A busy machine makes
   * connections late as well.
   */
  readonly lost: number;
}

const WEB = new Set(["default/web"]);

/** Changes the endpoints of a service as fast as it goes, while connections to it are made. All endpoints serve all the time. */
export async function changeUnderLoad({
  seed,
  changes,
  rate,
  isSticky,
  family,
}: ChangesUnderLoad): Promise<ReportUnderLoad> {
  const random = randomSource(seed);
  await using world = await createServiceWorld();
  const { signal } = new AbortController();
  await using session = await new NftablesDataPath({ machine: kernelMachine(world.machine) }).open(signal);
  const chosen = new Set([0, 8]);
  const plan = () =>
    planHost(parseTopology(Buffer.from(topologyText(chosen, isSticky)), { file: "load" }).topology, { host: "one" });
  await session.apply(plan());
  const load = await startLoad({
    ...{ from: world.pod, rate, port: 80, to: family === 4 ? "10.100.0.1" : "fd10::1" },
    sources: ASKING_PODS.map(({ ipv4, ipv6 }) => (family === 4 ? ipv4 : ipv6)),
  });
  for (let change = 0; change < changes; change++) {
    const coming = Math.floor(random() * PODS_OF_BOTH);
    const going = [...chosen][Math.floor(random() * chosen.size)];
    if (random() < 0.6) chosen.add(coming);
    if (going !== undefined && going !== coming && chosen.size > 1) chosen.delete(going);
    await session.apply(plan(), { changed: WEB });
  }
  const report = await load.stop();
  const ip = family === 4 ? "ip" : "ip6";
  const { stdout } = await world.host.run("nft", ["list", "table", ip, "svcproxy"]);
  const counted = parseCounters(stdout, family).ports[0]?.frontends[0]?.connections ?? 0;
  return { ...report, lost: counted - report.answered - report.refused - report.reset - report.failed };
}

function topologyText(chosen: ReadonlySet<number>, isSticky: boolean): string {
  const hosts = ["one", "two"].map((name, host) => ({
    ...{ name, addresses: [`192.168.1.${6 + host}`, `fd01::${6 + host}`] },
    podCIDRs: [`10.5.${host}.0/24`, `fd05:${host}::/64`],
    pods: Array.from({ length: PODS_OF_BOTH / 2 }, (_, place) => {
      const pod = randomPod((host * PODS_OF_BOTH) / 2 + place);
      return { name: pod.name, addresses: [`${pod.ipv4}:8080`, `[${pod.ipv6}]:8080`] };
    }),
  }));
  const web = {
    ...{ name: "web", clusterIPs: ["10.100.0.1", "fd10::1"], ports: [{ port: 80 }] },
    endpoints: [...chosen].map((pod) => randomPod(pod).name),
    ...(isSticky && { sessionAffinity: "ClientIP" }),
  };
  return JSON.stringify({ hosts, services: [web] });
}
