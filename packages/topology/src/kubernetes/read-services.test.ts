import { describe, expect, test } from "vitest";
import { formatCidr } from "../address.ts";
import { planHost } from "../plan/plan-host.ts";
import { NODES, PORT, read, service } from "../testing/kubernetes-texts.ts";

describe("a Service", () => {
  const settings = (text: string, allow: readonly string[] = []) => {
    const [found] = read(text, allow).topology.services;
    if (found === undefined) throw new Error("no service");
    return found;
  };

  test("of type LoadBalancer has its ingress IPs, but for those that are proxied or names", () => {
    const found = settings(
      service(
        `type: LoadBalancer\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 31000\nloadBalancerSourceRanges: [" 203.0.113.000/025 "]\n${PORT}`,
        "status: { loadBalancer: { ingress: [{ ip: 198.51.100.1, ipMode: VIP }, { ip: 198.51.100.2, ipMode: Proxy }, { ip: 198.51.100.3 }, { hostname: a.example }] } }",
      ),
    );
    expect(found.loadBalancerIPs).toEqual(["198.51.100.1", "198.51.100.3"]);
    expect(found.loadBalancerSourceRanges.map(formatCidr)).toEqual(["203.0.113.0/25"]);
    expect([found.externalTrafficPolicy, found.healthCheckNodePort]).toEqual(["Local", 31000]);
  });

  test("with ranges of one family has its other load-balancer IPs open, and says so", () => {
    const spec = `type: LoadBalancer\nclusterIPs: [10.96.0.10, "fd00:96::1"]\nloadBalancerSourceRanges: [10.0.0.0/8]\n${PORT}`;
    const { warnings } = read(service(spec, 'status: { loadBalancer: { ingress: [{ ip: "fd00:9::1" }] } }'));
    expect(warnings.map(({ code }) => code)).toEqual(["OPEN_FAMILY"]);
  });

  test.for([
    ["a NodePort service with policy Cluster", "type: NodePort\nhealthCheckNodePort: 31000", "Cluster", undefined],
    [
      "a NodePort service",
      "type: NodePort\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 31000",
      "Local",
      undefined,
    ],
    ["a service that nothing outside reaches", "externalTrafficPolicy: Local", "Cluster", undefined],
    ["one with external IPs", "externalIPs: [203.0.113.1]\nexternalTrafficPolicy: Local", "Local", undefined],
  ] as const)("%s has the policies that count for it", ([, spec, policy, healthCheck]) => {
    const found = settings(service(`${spec}\n${PORT}`), ["203.0.113.0/24"]);
    expect([found.externalTrafficPolicy, found.healthCheckNodePort]).toEqual([policy, healthCheck]);
  });

  test("has affinity for three hours unless it says how long", () => {
    expect(settings(service(`sessionAffinity: ClientIP\n${PORT}`)).sessionAffinity).toEqual({ timeoutSeconds: 10800 });
    const spec = `sessionAffinity: ClientIP\nsessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }\n${PORT}`;
    expect(settings(service(spec)).sessionAffinity).toEqual({ timeoutSeconds: 60 });
    expect(settings(service(`sessionAffinity: None\n${PORT}`)).sessionAffinity).toBeUndefined();
  });

  test.for([
    ["headless", "clusterIP: None"],
    ["without a ClusterIP yet", 'clusterIP: ""'],
    ["of type ExternalName", "clusterIP: 10.96.0.10\n  type: ExternalName\n  externalName: a.example"],
  ])("%s has nothing to serve", ([, spec]) => {
    const found = settings(service(PORT).replace("clusterIP: 10.96.0.10", spec ?? ""));
    expect(found.clusterIPs).toEqual([]);
  });

  test("with the label of another proxy is left to it", () => {
    const label = "labels: { service.kubernetes.io/service-proxy-name: cilium }";
    const { topology, warnings } = read(service(PORT).replace("namespace: prod }", `namespace: prod, ${label} }`));
    expect(topology.services).toEqual([]);
    expect(warnings.map(({ code, message }) => [code, message])).toEqual([
      [
        "OTHER_PROXY",
        'Service "prod/web": metadata.labels[service.kubernetes.io/service-proxy-name]: it is left to the proxy "cilium" and not served here',
      ],
    ]);
  });

  test.for(["NodePort", "LoadBalancer"])("of type %s without a ClusterIP is served nowhere, and says so", (type) => {
    const text = service(`type: ${type}\n${PORT}`).replace("10.96.0.10", "None");
    expect(read(text).warnings.map(({ code, message }) => [code, message.includes(`of type ${type}`)])).toEqual([
      ["NO_EFFECT", true],
    ]);
  });

  test("has only those external IPs that are allowed", () => {
    const text = service(`externalIPs: [203.0.113.1, 203.0.114.1]\n${PORT}`);
    expect(settings(text).externalIPs).toEqual([]);
    expect(settings(text, ["203.0.113.0/24"]).externalIPs).toEqual(["203.0.113.1"]);
    const { warnings } = read(text, ["203.0.113.0/24"]);
    expect(warnings.map(({ code, message }) => [code, message.includes("203.0.114.1")])).toEqual([
      ["EXTERNAL_IP_REFUSED", true],
    ]);
  });

  test("says once how many Services go without theirs", () => {
    const services = Array.from({ length: 12 }, (_, index) =>
      service(`externalIPs: [203.0.113.${index + 1}]\n${PORT}`)
        .replace("name: web,", `name: web${index},`)
        .replace("10.96.0.10", `10.96.1.${index + 1}`),
    );
    const { warnings } = read(service(PORT) + services.join(""));
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/leaves out those of 12 of 13 Services: prod\/web0 \(203\.0\.113\.1\), .* and 2 more$/),
    ]);
  });

  test("goes without an external IP whose port another has", () => {
    const other = service(`externalIPs: [203.0.113.1]\n${PORT}`)
      .replace("name: web,", "name: other,")
      .replace("0.10", "0.11");
    const { topology, warnings } = read(service(`externalIPs: [203.0.113.1]\n${PORT}`) + other, ["0.0.0.0/0"]);
    expect(topology.services.map(({ externalIPs }) => externalIPs)).toEqual([["203.0.113.1"], []]);
    expect(warnings.map(({ code }) => code)).toEqual(["DUPLICATE_FRONTEND"]);
  });

  test("that two share is lost only for the ports that both have", () => {
    const ports = (...numbers: number[]) => `ports: [${numbers.map((port) => `{ name: p${port}, port: ${port} }`)}]`;
    const sharing = (name: string, last: string, ...numbers: number[]) =>
      service(`externalIPs: [203.0.113.1]\n${ports(...numbers)}`)
        .replace("name: web,", `name: ${name},`)
        .replace("0.10", `0.${last}`);
    const given = sharing("web", "10", 80, 81) + sharing("other", "11", 81, 82) + sharing("third", "12", 82);
    const { topology, warnings } = read(NODES + given, ["0.0.0.0/0"]);
    const plan = planHost(topology, { host: "node1" });
    const external = plan.ports.flatMap(({ service: { name }, frontends }) =>
      frontends.filter(({ kind }) => kind === "externalIP").map(({ port }) => `${name}:${port}`),
    );
    expect(external).toEqual(["web:80", "web:81", "other:82"]);
    expect(warnings.map(({ message }) => message.split("spec.")[1])).toEqual([
      'externalIPs[0]: 203.0.113.1 has 81/tcp through Service "prod/web" already; this Service is not served there',
      'externalIPs[0]: 203.0.113.1 has a port of this Service already, through Service "prod/other"; it is not served here',
    ]);
  });
});
