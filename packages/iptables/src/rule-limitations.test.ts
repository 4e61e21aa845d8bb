import { exampleTopology, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ruleLimitations } from "./rule-limitations.ts";

test("nobody answers health checks or sends PROXY protocol headers, which is said with the services' names", () => {
  const text = `
hosts: [{ name: a, address: 192.0.2.1, pods: [{ name: p, address: "10.1.0.2:80" }] }]
services:
  - name: web
    namespace: shop
    clusterIP: 10.96.0.1
    loadBalancerIPs: [203.0.113.1]
    externalTrafficPolicy: Local
    healthCheckNodePort: 31000
    ports: [{ port: 80, name: x }, { port: 81, name: "y" }]
    endpoints: [p]
  - { name: "mail\\e[1m", clusterIP: 10.96.0.2, proxyProtocol: v2, ports: [{ port: 25 }], endpoints: [p] }`;
  const { topology } = parseTopology(new TextEncoder().encode(text), { file: "t.yaml" });
  expect(ruleLimitations(planHost(topology, { host: "a" }))).toEqual([
    "Rules let health checks in but answer none: unless another program does, load balancers get no answer on port 31000 (shop/web)",
    "Rules send no PROXY protocol header, svcproxy userspace does: default/mail\\u{1b}[1m",
  ]);
});

test("the document's services need nothing that rules cannot do", () => {
  const plan = planHost(exampleTopology().topology, { host: "cloudos1" });
  expect(ruleLimitations(plan)).toEqual([]);
});
