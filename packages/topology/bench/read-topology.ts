import process from "node:process";
import { CORE_SCHEMA, load } from "js-yaml";
import { parseKubernetes, parseTopology, planHost } from "../src/index.ts";

/**
 * How long a big input takes from bytes to a plan, over what the YAML parser alone needs for it in the same run.
 *
 *     pnpm --filter @svcproxy/topology bench
 */
const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const ENDPOINTS = Number(process.env["ENDPOINTS"] ?? 10);
const HOSTS = 50;

interface Placed {
  readonly host: number;
  readonly address: string;
}

/** The pods of each service, spread over all hosts. */
const services: readonly (readonly Placed[])[] = Array.from({ length: SERVICES }, (_, service) =>
  Array.from({ length: ENDPOINTS }, (_unused, endpoint) => {
    const index = service * ENDPOINTS + endpoint;
    const place = Math.floor(index / HOSTS) + 2;
    return { host: index % HOSTS, address: `10.${(index % HOSTS) + 1}.${place >> 8}.${place & 255}` };
  }),
);
const vip = (service: number) => `172.16.${service >> 8}.${service & 255}`;

function topologyYaml(): string {
  const pods = Array.from({ length: HOSTS }, (): string[] => []);
  for (const [service, placed] of services.entries()) {
    for (const [index, { host, address }] of placed.entries()) {
      pods[host]?.push(`      - { name: pod-${service}-${index}, address: "${address}:8080" }`);
    }
  }
  const hosts = pods.map(
    (lines, host) =>
      `  - name: node${host}\n    address: 192.168.${host}.6\n    podCIDR: 10.${host + 1}.0.0/16\n    pods:\n${lines.join("\n")}`,
  );
  const listed = services.map((placed, service) => {
    const names = placed.map((_, index) => `pod-${service}-${index}`).join(", ");
    return `  - name: service-${service}\n    clusterIP: ${vip(service)}\n    ports: [{ port: 80 }]\n    endpoints: [${names}]`;
  });
  return `hosts:\n${hosts.join("\n")}\nservices:\n${listed.join("\n")}\n`;
}

function kubernetesJson(): string {
  const nodes = Array.from({ length: HOSTS }, (_, host) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: `node${host}` },
    spec: { podCIDR: `10.${host + 1}.0.0/16` },
    status: { addresses: [{ type: "InternalIP", address: `192.168.${host}.6` }] },
  }));
  const objects = services.flatMap((placed, service) => [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: `service-${service}` },
      spec: { clusterIP: vip(service), ports: [{ name: "http", port: 80 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `service-${service}-a`, labels: { "kubernetes.io/service-name": `service-${service}` } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }],
      endpoints: placed.map(({ host, address }) => ({ addresses: [address], nodeName: `node${host}` })),
    },
  ]);
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: [...nodes, ...objects] });
}

function timed<Result>(name: string, work: () => Result): Result {
  const start = performance.now();
  const result = work();
  const megabytes = process.memoryUsage().rss / 1e6;
  process.stdout.write(`${name}: ${(performance.now() - start).toFixed(0)} ms, ${megabytes.toFixed(0)} MB\n`);
  return result;
}

const yaml = topologyYaml();
const encoder = new TextEncoder();
process.stdout.write(
  `${SERVICES} services with ${ENDPOINTS} endpoints each, ${(yaml.length / 1e6).toFixed(1)} MB of YAML\n`,
);
const parsed = timed("topology file to values", () => parseTopology(encoder.encode(yaml), { file: "bench.yaml" }));
timed("plan of one host", () => planHost(parsed.topology, { host: "node1" }));
timed("the YAML parser alone", () => load(yaml, { schema: CORE_SCHEMA }));
const json = encoder.encode(kubernetesJson());
timed("Kubernetes objects to values", () => parseKubernetes([{ file: "bench.json", bytes: json }]));
