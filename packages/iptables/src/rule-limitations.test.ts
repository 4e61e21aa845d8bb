import { exampleTopology, parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import type { Dialect } from "./dialect.ts";
import { ruleLimitations } from "./rule-limitations.ts";

function limitations(text: string, dialect: Dialect = "kubernetes") {
  const { topology } = parseTopology(new TextEncoder().encode(text), { file: "t.yaml" });
  return ruleLimitations(planHost(topology, { host: "a" }), { dialect });
}

const HOSTS = `
hosts:
  - { name: a, address: 192.0.2.1, podCIDR: 10.1.0.0/24, pods: [{ name: p, address: "10.1.0.2:80" }] }
  - { name: b, address: 192.0.2.2, podCIDR: 10.2.0.0/24, pods: [{ name: q, address: "10.2.0.2:80" }] }
`;

test("nobody answers health checks or sends PROXY protocol headers, which is said with the services' names", () => {
  const found = limitations(`${HOSTS}
services:
  - name: web
    namespace: shop
    clusterIP: 10.96.0.1
    loadBalancerIPs: [203.0.113.1]
    externalTrafficPolicy: Local
    healthCheckNodePort: 31000
    ports: [{ port: 80, name: x }, { port: 81, name: "y" }]
    endpoints: [p]
  - { name: mail, clusterIP: 10.96.0.2, proxyProtocol: v2, ports: [{ port: 25 }], endpoints: [p] }`);
  expect(found).toEqual([
    {
      ...{ code: "HEALTH_CHECK_UNANSWERED", severity: "warning", subject: "data path iptables" },
      text: "Rules let health checks in but answer none: unless another program does, load balancers get no answer on port 31000 (shop/web)",
    },
    {
      ...{ code: "PROXY_PROTOCOL_UNSENT", severity: "warning", subject: "data path iptables" },
      text: "Rules send no PROXY protocol header, svcproxy userspace does: default/mail",
    },
  ]);
});

test("a chain through this host's own frontends is not followed, one through another host's NodePort is", () => {
  const found = limitations(`${HOSTS}
services:
  - { name: web, clusterIP: 10.96.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: [p] }
  - { name: vip, clusterIP: 10.96.0.2, ports: [{ port: 80 }], endpoints: ["10.96.0.1:80"] }
  - { name: own, clusterIP: 10.96.0.3, ports: [{ port: 80 }], endpoints: ["192.0.2.1:30080"] }
  - { name: far, clusterIP: 10.96.0.4, ports: [{ port: 80 }], endpoints: ["192.0.2.2:30080"] }`);
  expect(found.map(({ code }) => code)).toEqual(["CHAIN_NOT_FOLLOWED"]);
  expect(found[0]?.text).toMatch(/: 10\.96\.0\.1:80 \(of default\/vip\), 192\.0\.2\.1:30080 \(of default\/own\)$/);
});

describe("a client outside the hosts that dials a ClusterIP with an endpoint elsewhere", () => {
  const services = "services: [{ name: web, clusterIP: 10.96.0.1, ports: [{ port: 80 }], endpoints: [p, q] }]";

  test("gets no answer by the document's rules, unless the settings say how pods are told", () => {
    const [found, ...others] = limitations(`${HOSTS}${services}`, "document");
    expect(others).toEqual([]);
    expect(found?.code).toBe("CLIENT_OUTSIDE_UNANSWERED");
    expect(found?.hint).toContain("detectLocalMode: NodeCIDR");
    expect(limitations(`${HOSTS}${services}\nnode: { detectLocalMode: NodeCIDR }`, "document")).toEqual([]);
    expect(limitations(`${HOSTS}${services}\nnode: { masqueradeAll: true }`, "document")).toEqual([]);
  });

  test("gets one by kube-proxy's where the host has a podCIDR", () => {
    expect(limitations(`${HOSTS}${services}`)).toEqual([]);
    const bare = HOSTS.replaceAll(/podCIDR: \S+ /g, "");
    expect(limitations(`${bare}${services}`)[0]?.hint).toContain("clusterCIDR");
  });

  test("has nothing to fear where every endpoint is here", () => {
    expect(limitations(`${HOSTS}${services.replace(", q", "")}`, "document")).toEqual([]);
  });
});

test("NodePorts on localhost are not served on ::1", () => {
  const text = `
hosts: [{ name: a, addresses: ["fd00::1"], podCIDR: "fd01::/64", pods: [{ name: p, address: "[fd01::2]:80" }] }]
services: [{ name: web, clusterIP: "fd96::1", ports: [{ port: 80, nodePort: 30080 }], endpoints: [p] }]
node: { localhostNodePorts: true }`;
  expect(limitations(text).map(({ code }) => code)).toEqual(["LOCALHOST_IPV6_UNSERVED"]);
});

test("the document's services need nothing else that rules cannot do", () => {
  const plan = planHost(exampleTopology().topology, { host: "cloudos1" });
  expect(ruleLimitations(plan, { dialect: "kubernetes" })).toEqual([]);
  expect(ruleLimitations(plan, { dialect: "document" }).map(({ code }) => code)).toEqual(["CLIENT_OUTSIDE_UNANSWERED"]);
});
