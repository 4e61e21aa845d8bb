import { serviceName } from "@svcproxy/host";
import { cidrContains, formatSocketAddress, type IpAddress, listNames, type ServicePortPlan } from "@svcproxy/topology";
import type { ClientPlace, OpenQuestion } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { lastHopsTowards } from "../walk/last-hops.ts";
import { sourceTowards } from "../walk/source-towards.ts";
import type { DialResult, DialTarget, Prober } from "./prober.ts";
import { unfollowedRules } from "./unfollowed-rules.ts";

/** So many frontends are dialled from one place, and from so many pods. */
const MOST_FRONTENDS = 20;
const MOST_PODS = 4;

export interface FrontendProbing {
  readonly here: ObservedHost;
  readonly prober: Prober;
  /** Whether to dial from within pods too. */
  readonly asPod: boolean;
  /** Services of which some cause is known already; they are not dialled. */
  readonly known: ReadonlySet<string>;
}

/** Dials services at their ClusterIPs, as the host and from within pods: what rules and endpoints promise together may still not come about. */
export async function probeFrontends(
  ports: readonly ServicePortPlan[],
  { here, prober, asPod, known }: FrontendProbing,
): Promise<{ readonly open: readonly OpenQuestion[]; readonly dials: number }> {
  const asked = ports.filter((port) => port.port.protocol === "tcp" && !known.has(serviceName(port)));
  const open: OpenQuestion[] = [];
  let dials = 0;
  for (const dialler of [undefined, ...(asPod ? podsOf(here) : [])]) {
    const place: ClientPlace = dialler === undefined ? "host" : "pod";
    const targets = asked.flatMap((port) => targetOf(port, place)).slice(0, MOST_FRONTENDS);
    if (targets.length === 0) continue;
    const dialled = await dialAll(prober, targets, dialler?.pid);
    if ("because" in dialled) {
      open.push({
        ...{ subject: `pid ${dialler?.pid}`, text: `Nothing could be dialled as a pod: ${dialled.because}` },
        sufferers: [],
      });
      break;
    }
    dials += targets.length;
    const failed = targets.map((target, index) => ({ target, result: dialled.results[index] ?? "open" }));
    for (const [result, own] of Map.groupBy(failed, (one) => one.result))
      if (result !== "open")
        open.push(
          unanswered(
            own.map(({ target }) => target),
            { here, result, place, dialler },
          ),
        );
  }
  return { open, dials };
}

interface Frontend extends DialTarget {
  readonly service: string;
}

interface Dialler {
  readonly pid: number;
  readonly address: IpAddress;
}

function targetOf(port: ServicePortPlan, place: "host" | "pod"): readonly Frontend[] {
  const frontend = port.frontends.find(
    ({ kind, clients }) => kind === "clusterIP" && clients[place].kind === "forward",
  );
  const [address] = frontend?.addresses ?? [];
  if (frontend === undefined || address === undefined) return [];
  return [{ service: serviceName(port), protocol: "tcp", address, port: frontend.port }];
}

function podsOf({ plan, pods }: ObservedHost): readonly Dialler[] {
  const own = plan.host.pods.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  return pods
    .flatMap(({ pid, addresses }) => {
      const address = addresses.find(
        (one) => own.includes(one) || plan.host.podCIDRs.some((block) => cidrContains(block, one)),
      );
      return address === undefined ? [] : [{ pid, address }];
    })
    .slice(0, MOST_PODS);
}

async function dialAll(
  prober: Prober,
  targets: readonly DialTarget[],
  pid: number | undefined,
): Promise<{ readonly results: readonly DialResult[] } | { readonly because: string }> {
  if (pid !== undefined)
    return prober.dialAsPod?.(pid, targets) ?? { because: "this program cannot enter another network namespace" };
  return { results: await Promise.all(targets.map(({ address, port }) => prober.dial(address, port))) };
}

/** What is the same for several is told once, with the way of the first. */
function unanswered(
  targets: readonly Frontend[],
  {
    here,
    result,
    place,
    dialler,
  }: {
    readonly here: ObservedHost;
    readonly result: DialResult;
    readonly place: ClientPlace;
    readonly dialler: Dialler | undefined;
  },
): OpenQuestion {
  const [first] = targets;
  if (first === undefined) throw new TypeError("nothing was dialled");
  const { address, port } = first;
  const who = dialler === undefined ? "this host" : `pod ${dialler.address} (pid ${dialler.pid})`;
  const at = formatSocketAddress({ address, port });
  const from = dialler === undefined ? sourceTowards(here, address) : dialler.address;
  const way = lastHopsTowards(here, { from, to: address, port });
  const what = { refused: "is refused", unreachable: "finds no way", timeout: "gets no answer", open: "" }[result];
  const unfollowed = unfollowedRules(here);
  const suspects = unfollowed.length === 0 ? "" : `; rules that no trace follows: ${unfollowed.join("; ")}`;
  const whereTo = listNames(targets.map((one) => formatSocketAddress(one)));
  return {
    subject: `service ${listNames(targets.map(({ service }) => service))}`,
    text: `A connection from ${who} to ${whereTo} ${what}, though all rules and routes that were read lead it to endpoints${suspects}`,
    ...(way.length === 0 ? {} : { way }),
    hint:
      dialler === undefined
        ? `See where it stops: svcproxy trace --live --watch --to ${at}, then dial it`
        : `Look at the pod's own routes and rules: nsenter -t ${dialler.pid} -n ip route; nsenter -t ${dialler.pid} -n nft list ruleset`,
    sufferers: targets.map(({ service }) => ({ service, client: place, share: 1 })),
  };
}
