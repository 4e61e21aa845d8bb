import { type IpAddress, type Port, type Protocol, parsePort } from "../address.ts";
import type { EndpointConditions } from "../model.ts";
import type { Field } from "./field.ts";
import type { KubernetesObject } from "./kubernetes-objects.ts";
import { type PortEndpoints, readProtocol } from "./read-endpoints.ts";

/** A Pod, as far as services care. */
export interface KubernetesPod extends EndpointConditions {
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly addresses: readonly IpAddress[];
  readonly node?: string;
  readonly namedPorts: readonly { readonly name: string; readonly protocol: Protocol; readonly port: Port }[];
}

/** Pods that run or are about to; one that has ended, or has no address yet, serves nobody. */
export function readPods(objects: readonly KubernetesObject[]): readonly KubernetesPod[] {
  return objects.flatMap(({ field, name, namespace }) => {
    const phase = field.at("status", "phase").text();
    if (phase === "Succeeded" || phase === "Failed") return [];
    const addresses = readAddresses(field.get("status"));
    if (addresses.length === 0) return [];
    const node = field.at("spec", "nodeName").text();
    const isReady = field
      .at("status", "conditions")
      .items()
      .some((condition) => condition.get("type").text() === "Ready" && condition.get("status").text() === "True");
    const terminating = field.at("metadata", "deletionTimestamp").isSet;
    return [
      {
        key: `${namespace}/${name}`,
        namespace,
        labels: field.at("metadata", "labels").texts(),
        addresses,
        ...(node === undefined ? {} : { node }),
        ready: isReady && !terminating,
        serving: isReady,
        terminating,
        namedPorts: readNamedPorts(field.get("spec")),
      },
    ];
  });
}

function readAddresses(status: Field): readonly IpAddress[] {
  const several = status
    .get("podIPs")
    .items()
    .flatMap((item) => item.get("ip").address() ?? []);
  if (several.length > 0) return several;
  const one = status.get("podIP").address();
  return one === undefined ? [] : [one];
}

function readNamedPorts(spec: Field): KubernetesPod["namedPorts"] {
  return ["containers", "initContainers"].flatMap((key) =>
    spec
      .get(key)
      .items()
      .flatMap((container) => container.get("ports").items())
      .flatMap((field) => {
        const name = field.get("name").text();
        const port = field.get("containerPort").port();
        if (name === undefined || port === undefined) return [];
        return [{ name, protocol: readProtocol(field.get("protocol")), port }];
      }),
  );
}

/** Finds the pods of a selector without going through all of them for each service. */
export class PodsByLabel {
  readonly #pods = new Map<string, KubernetesPod[]>();

  constructor(pods: readonly KubernetesPod[]) {
    for (const pod of pods) {
      for (const [key, value] of pod.labels) {
        const label = labelKey(pod.namespace, [key, value]);
        const known = this.#pods.get(label);
        if (known === undefined) this.#pods.set(label, [pod]);
        else known.push(pod);
      }
    }
  }

  /** None for an empty selector: such a service gets its endpoints from elsewhere. */
  select(namespace: string, selector: readonly (readonly [string, string])[]): readonly KubernetesPod[] {
    const [first, ...others] = selector;
    if (first === undefined) return [];
    const candidates = this.#pods.get(labelKey(namespace, first)) ?? [];
    return candidates.filter(({ labels }) => others.every(([key, value]) => labels.get(key) === value));
  }
}

function labelKey(namespace: string, [key, value]: readonly [string, string]): string {
  return JSON.stringify([namespace, key, value]);
}

/**
 * What the endpoint controller would make of a service's selector: for input without EndpointSlices, so that manifests and
 * pods are enough. A `targetPort` that is a name is looked up in each pod.
 */
export function endpointsOfSelector(service: KubernetesObject, pods: PodsByLabel): readonly PortEndpoints[] {
  const spec = service.field.get("spec");
  const selector = [...spec.get("selector").texts()];
  const publishesNotReady = spec.get("publishNotReadyAddresses").flag() ?? false;
  const selected = pods.select(service.namespace, selector);
  return spec
    .get("ports")
    .items()
    .flatMap((field) => {
      const protocol = readProtocol(field.get("protocol"));
      const portName = field.get("name").text() ?? "";
      return selected.flatMap((pod): readonly PortEndpoints[] => {
        const port = targetPortOf(field, { pod, protocol });
        if (port === undefined) return [];
        const { key, node, ready, serving, terminating } = pod;
        const endpoints = pod.addresses.map((address) => ({
          address,
          pod: key,
          ...(node === undefined ? {} : { node }),
          ready: ready || publishesNotReady,
          serving: serving || publishesNotReady,
          terminating,
          hints: { zones: [], nodes: [] },
        }));
        return [{ portName, protocol, port, endpoints }];
      });
    });
}

/** A number, the name of a container's port, or the service's own port. */
function targetPortOf(field: Field, { pod, protocol }: { pod: KubernetesPod; protocol: Protocol }): Port | undefined {
  const target = field.get("targetPort").value;
  // The API server's defaults take 0 and an empty name for none.
  if ((typeof target !== "number" && typeof target !== "string") || target === 0 || target === "") {
    return field.get("port").port();
  }
  if (typeof target === "number") return parsePort(target);
  return pod.namedPorts.find((named) => named.name === target && named.protocol === protocol)?.port;
}
