import {
  createTracer,
  exampleClients,
  type HostRules,
  type HostState,
  isProxyTable,
  type TracedBranch,
  type Tracer,
  type WalkEvent,
} from "@svcproxy/rules";
import {
  type ClientKind,
  type Family,
  type Frontend,
  type FrontendKind,
  type HostPlan,
  InputError,
  type IpAddress,
  type Problem,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { serviceName } from "../data-path/service-port-statuses.ts";
import { findUnmetTranslations } from "./find-unmet-translations.ts";

export interface ObstacleInput {
  /** As it was applied. */
  readonly plan: HostPlan;
  readonly hostState: HostState;
  /** All that the kernel asks in a family, with our rules for a part of the plan: no more than that is asked for is needed. */
  readonly rules: (part: HostPlan, family: Family) => HostRules;
  /** How else than by an exception a policy or rule of FORWARD that drops is helped; asked where there is one. */
  readonly forwardHint?: () => string | undefined;
}

/** One connection that is tried on paper. */
interface Probe {
  readonly owner: ServicePortPlan;
  readonly frontend: Frontend;
  readonly client: ClientKind;
  readonly from: IpAddress;
  readonly to: IpAddress;
}

/** What keeps a connection from its endpoint. */
interface Obstacle {
  /** `filter FORWARD`, `nat PREROUTING rule 2`. */
  readonly place: string;
  /** Of a policy or rule that drops what is forwarded, how connections to endpoints are let through. */
  readonly exception?: string;
  readonly does: string;
  readonly code: Problem["code"];
}

const KINDS: readonly FrontendKind[] = ["clusterIP", "externalIP", "loadBalancerIP", "nodePort"];

/**
 * What of others' rules defeats a plan that is in force: one frontend of each kind and family is followed through all of the kernel's
 * rules, from each kind of client that may use it; and each endpoint on the host itself. What the tracer cannot decide is not told.
 */
export function findObstacles(input: ObstacleInput): readonly Problem[] {
  const met = ([4, 6] as const).flatMap((family) => {
    const probes = probesOf(input, family);
    if (probes.length === 0) return [];
    const owners = new Set(probes.map(({ owner }) => owner));
    const part = { ...input.plan, ports: input.plan.ports.filter((port) => owners.has(port)), healthChecks: [] };
    const rules = input.rules(part, family);
    const tracer = createTracer({ rules, hostState: input.hostState, plan: part });
    return probes.flatMap((probe) => {
      const obstacle = follow(tracer, { ...probe, rules });
      return obstacle === undefined ? [] : [{ probe, obstacle, family }];
    });
  });
  const unmet = findUnmetTranslations({
    ...{ plan: input.plan, hostState: input.hostState },
    rules: (family) => input.rules({ ...input.plan, ports: [], healthChecks: [] }, family),
  });
  const places = Map.groupBy(met, ({ obstacle, family }) => `${obstacle.code} ${obstacle.place} IPv${family}`);
  const obstacles = [...places.values()].flatMap((all): Problem[] => {
    const [first] = all;
    if (first === undefined) return [];
    const { obstacle, family } = first;
    const shown = all.slice(0, SHOWN_PROBES).map(({ probe }) => describeProbe(probe));
    const rest = all.length - shown.length;
    return [
      {
        ...{ code: obstacle.code, severity: "warning", subject: `${obstacle.place} (IPv${family})` },
        text: `These connections ${obstacle.does}: ${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`,
        hint: hintFor(obstacle, input),
      },
    ];
  });
  return [...obstacles, ...unmet];
}

/** So many connections to a place are named. */
const SHOWN_PROBES = 6;

function probesOf({ plan, hostState }: ObstacleInput, family: Family): readonly Probe[] {
  const ofFamily = plan.ports.filter((port) => port.family === family);
  return KINDS.flatMap((kind) =>
    (["pod", "outside", "host"] as const).flatMap((client): Probe[] => {
      // Who dials a ClusterIP from outside is promised nothing.
      if (kind === "clusterIP" && client === "outside") return [];
      for (const owner of ofFamily) {
        for (const frontend of owner.frontends) {
          if (frontend.kind !== kind || frontend.clients[client].kind !== "forward") continue;
          const to = frontend.addresses.find((address) => !isLoopback(address));
          const from = exampleClients(client, { plan, hostState, family, frontend })[0];
          if (to !== undefined && from !== undefined) return [{ owner, frontend, client, from, to }];
        }
      }
      return [];
    }),
  );
}

/** @returns what another program's rule does to it; undefined where none does, or it cannot be told */
function follow(
  tracer: Tracer,
  { owner, frontend, from, to, rules }: Probe & { readonly rules: HostRules },
): Obstacle | undefined {
  try {
    const { branches } = tracer.trace({ from, to, port: frontend.port, protocol: owner.port.protocol });
    for (const branch of branches) {
      const obstacle = obstacleOf(branch, rules);
      if (obstacle !== undefined) return obstacle;
    }
    return undefined;
  } catch (error) {
    // The machine has no way by which such a client comes in.
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function obstacleOf(branch: TracedBranch, rules: HostRules): Obstacle | undefined {
  if (branch.kind !== "decided") return undefined;
  const { state, ending } = branch.ended;
  if (ending.kind === "delivered") {
    const { destinationNat } = state;
    if (destinationNat === undefined || destinationNat.isOwn) return undefined;
    const { table, chain, number } = destinationNat;
    return {
      ...{ code: "FOREIGN_DNAT_FIRST", place: `${table} ${chain} rule ${number}` },
      does: `are sent elsewhere by another program, whose rule ${number} of ${table} ${chain} is asked first`,
    };
  }
  const event = state.past?.event;
  const place = event === undefined ? undefined : placeOf(event);
  if (place === undefined || ending.kind === "undecided") return undefined;
  const { text, chain } = place;
  const obstacle = { code: "FOREIGN_RULE_DROPS", place: text, does: `are ${ending.kind} (${ending.because})` } as const;
  return /forward/i.test(chain) ? { ...obstacle, exception: exceptionTo(place, rules) } : obstacle;
}

/** The policy or foreign rule at which a way ended. */
interface Place {
  readonly table: string;
  readonly chain: string;
  readonly text: string;
}

function placeOf(event: WalkEvent): Place | undefined {
  const isPolicy = event.kind === "chainEnd" && event.policy === "DROP";
  if (event.kind !== "rule" && !isPolicy) return undefined;
  const { table, chain } = event;
  if (event.kind === "chainEnd") return { table, chain, text: `${table} ${chain}` };
  if (isProxyTable(table) || chain.startsWith("KUBE-")) return undefined;
  return { table, chain, text: `${table} ${chain} rule ${event.number}` };
}

const CLIENTS: Readonly<Record<ClientKind, string>> = { pod: "a pod", host: "this host", outside: "outside" };

const FRONTENDS: Readonly<Record<FrontendKind, string>> = {
  clusterIP: "the ClusterIP",
  externalIP: "an external IP",
  loadBalancerIP: "a load-balancer IP",
  nodePort: "the NodePort",
};

function describeProbe({ owner, frontend, client, to }: Probe): string {
  const at = to.includes(":") ? `[${to}]:${frontend.port}` : `${to}:${frontend.port}`;
  return `from ${CLIENTS[client]} to ${FRONTENDS[frontend.kind]} of ${serviceName(owner)} (${at})`;
}

function hintFor({ code, place, exception }: Obstacle, { forwardHint }: ObstacleInput): string {
  if (code === "FOREIGN_DNAT_FIRST") return `Delete that rule, or give the service another address or port (${place})`;
  if (exception === undefined) return `Put an exception for the service before it (${place})`;
  const hint = forwardHint?.();
  const letThrough = `let translated connections through: ${exception}`;
  return hint === undefined ? letThrough : `${letThrough}; or ${hint}`;
}

/** Lets through what DNAT was applied to, in both directions, whoever applied it. */
function exceptionTo({ table, chain }: Place, { family, iptables }: HostRules): string {
  if (/^(?:ip6?|inet) /.test(table)) return `nft insert rule ${table} ${chain} ct status dnat accept`;
  const [first, second] = iptables;
  // Where both variants hold rules, the table says whose it is.
  const variant = second === undefined ? first?.variant : /\((nft|legacy)\)$/.exec(table)?.[1];
  const tool = `${family === 4 ? "iptables" : "ip6tables"}${variant === undefined ? "" : `-${variant}`}`;
  return `${tool} -I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT`;
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}
