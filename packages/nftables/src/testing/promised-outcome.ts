import type { Answer } from "@svcproxy/host/testing";
import {
  type ClientKind,
  cidrContains,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  parseIpAddress,
} from "@svcproxy/topology";
import { PODS_OF_BOTH, randomPod } from "./random-cluster.ts";
import type { Client } from "./service-world.ts";

/** What a plan promises a client of a frontend. */
export type Promised =
  | {
      readonly kind: "answer";
      /** `address port`, and whether it is to see another address than the client's. */
      readonly endpoints: ReadonlyMap<string, boolean>;
    }
  | { readonly kind: "refused" | "silent" };

/** @param to what the client dials; of a NodePort an address of the host */
export function promisedOutcome(
  plan: HostPlan,
  client: Client,
  { frontend, to }: { frontend: Frontend; to: IpAddress },
): Promised {
  const from = parseIpAddress(familyOf(to) === 4 ? client.ipv4 : client.ipv6);
  if (from === undefined) throw new TypeError(`${client.name} has no address`);
  const handling = frontend.clients[kindOf(client, from, plan)];
  const isServed = Object.values(frontend.clients).some(({ kind }) => kind === "forward");
  const isAllowed =
    frontend.sourceRanges.length === 0 || frontend.sourceRanges.some((range) => cidrContains(range, from));
  if (isServed && !isAllowed) return { kind: "silent" };
  if (handling.kind !== "forward") return { kind: handling.kind === "refuse" ? "refused" : "silent" };
  return {
    kind: "answer",
    endpoints: new Map(
      handling.endpoints.map(({ address, port }) => [
        `${address} ${port}`,
        handling.masquerade !== "hairpin" || address === from,
      ]),
    ),
  };
}

function kindOf({ at }: Client, from: IpAddress, { podDetector }: HostPlan): ClientKind {
  if (at === "host") return "host";
  if (podDetector.kind !== "source") throw new TypeError("pods are told by their address here");
  return podDetector.cidrs.some((cidr) => cidrContains(cidr, from)) ? "pod" : "outside";
}

/** Whether the world's network can carry it: who has the endpoint's namespace too would be answered past the host. */
export function isCarried(promised: Promised, { at }: Client): boolean {
  if (promised.kind !== "answer" || at === "host" || at === "pod") return true;
  const isThere = (endpoint: string) => FAR_PODS.has(endpoint.split(" ")[0] ?? "") === (at === "world");
  return ![...promised.endpoints].some(([endpoint, isMasqueraded]) => !isMasqueraded && isThere(endpoint));
}

/** The addresses of the other host's pods. */
const FAR_PODS: ReadonlySet<string> = new Set(
  Array.from({ length: PODS_OF_BOTH / 2 }, (_, index) => randomPod(PODS_OF_BOTH / 2 + index)).flatMap(
    ({ ipv4, ipv6 }) => [parseIpAddress(ipv4) ?? "", parseIpAddress(ipv6) ?? ""],
  ),
);

/** @returns what is not as promised; undefined: it is */
export function brokenPromise(promised: Promised, answer: Answer, from: string): string | undefined {
  const got = JSON.stringify(answer);
  if (promised.kind !== "answer") return promised.kind in answer ? undefined : `${got} instead of ${promised.kind}`;
  if (!("endpoint" in answer)) return `${got} instead of an answer by ${[...promised.endpoints.keys()].join(", ")}`;
  const isMasqueraded = promised.endpoints.get(answer.endpoint);
  if (isMasqueraded === undefined) return `${got} instead of an answer by ${[...promised.endpoints.keys()].join(", ")}`;
  const sees = parseIpAddress(answer.source) !== parseIpAddress(from);
  return sees === isMasqueraded ? undefined : `${got}: the source is ${isMasqueraded ? "not " : ""}rewritten`;
}
