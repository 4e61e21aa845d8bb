import type { PageEndpoint, PagePort, PageState, ServiceState, ServiceStateKind } from "../model.ts";

/** `14:03:22`, with the date where it is not today's. */
export function timeOf(iso: string): string {
  const time = new Date(iso);
  const clock = time.toLocaleTimeString("en-GB");
  return time.toDateString() === new Date().toDateString() ? clock : `${time.toLocaleDateString("en-CA")} ${clock}`;
}

/** `10.0.0.1:80`, `[fd00::1]:80` */
export function socket(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export function plural(count: number, thing: string): string {
  return `${count.toLocaleString("en-US")} ${thing}${count === 1 ? "" : "s"}`;
}

export const STATE_WORDS: Readonly<Record<ServiceStateKind, string>> = {
  planned: "planned",
  checking: "checking…",
  "in-force": "in force",
  refused: "refused",
  failed: "failed",
  undecided: "not decided",
};

/** A sign beside the word: colour alone tells nobody. */
export const STATE_SIGNS: Readonly<Record<ServiceStateKind, string>> = {
  planned: "◌",
  checking: "…",
  "in-force": "●",
  refused: "▲",
  failed: "✕",
  undecided: "?",
};

/** The worst first. */
const KINDS: readonly ServiceStateKind[] = ["failed", "refused", "undecided", "checking", "planned", "in-force"];

/** The worst of the hosts'. */
export function worstOf(states: readonly ServiceState[]): ServiceState {
  for (const kind of KINDS) {
    const found = states.find((state) => state.kind === kind);
    if (found !== undefined) return found;
  }
  return { kind: "planned" };
}

export function differs(states: readonly ServiceState[]): boolean {
  return new Set(states.map(({ kind }) => kind)).size > 1;
}

/** `80/TCP`, `http 80/TCP → 30080` */
export function portWords({ name, protocol, port, nodePort }: PagePort): string {
  const node = nodePort === undefined ? "" : `, NodePort ${nodePort}`;
  return `${name === "" ? "" : `${name} `}${port}/${protocol}${node}`;
}

export const KIND_WORDS = {
  clusterIP: "ClusterIP",
  externalIP: "external IP",
  loadBalancerIP: "load-balancer IP",
  nodePort: "NodePort",
} as const;

export function endpointName({ pod, address, port }: PageEndpoint): string {
  return pod === undefined ? socket(address, port) : pod;
}

/** `cloudos1` for an address of one of the hosts' own, or a pod's name; empty where it has none. */
export function nameOfAddress(state: PageState, address: string): string {
  for (const { name, addresses, pods } of state.places) {
    if (addresses.includes(address)) return name;
    const pod = pods.find((candidate) => candidate.addresses.includes(address));
    if (pod !== undefined) return pod.name;
  }
  return "";
}
