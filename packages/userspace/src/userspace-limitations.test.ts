import { formatProblem, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { userspaceLimitations } from "./userspace-limitations.ts";

function limitations(service: string, rest = "") {
  const text = `
hosts:
  - { name: a, address: 192.0.2.1, podCIDR: 10.1.0.0/24, pods: [{ name: p, address: "10.1.0.2:80" }] }
  - { name: b, address: 192.0.2.2, podCIDR: 10.2.0.0/24, pods: [{ name: q, address: "10.2.0.2:80" }] }
services:
  - { ${service}, clusterIP: 10.96.0.1, endpoints: [q] }
${rest}`;
  const { topology } = parseTopology(Buffer.from(text), { file: "t.yaml" });
  return userspaceLimitations(planHost(topology, { host: "a" }));
}

const PORT = "ports: [{ port: 80, targetPort: 80 }]";

test.for([
  { code: "CLIENT_ADDRESS_HIDDEN", service: `name: web, ${PORT}`, rest: "" },
  { code: "SCTP_UNSERVED", service: "name: web, ports: [{ port: 80, protocol: SCTP }]", rest: "" },
  { code: "SILENCE_IS_REFUSAL", service: `name: web, internalTrafficPolicy: Local, ${PORT}`, rest: "" },
  {
    code: "SILENCE_IS_REFUSAL",
    service: `name: web, loadBalancerIPs: [203.0.113.1], loadBalancerSourceRanges: [198.51.100.0/24], ${PORT}`,
    rest: "",
  },
  {
    code: "PROXY_PROTOCOL_UNSENT",
    service: "name: web, proxyProtocol: v2, ports: [{ port: 53, targetPort: 80, protocol: UDP }]",
    rest: "",
  },
  {
    code: "PODS_TOLD_BY_SUBNET",
    service: `name: web, ${PORT}`,
    rest: "node: { detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 } }",
  },
])("$code is said of { $service } $rest", ({ code, service, rest }) => {
  const codes = limitations(service, rest).map((problem) => problem.code);
  expect(codes).toEqual([...new Set(["CLIENT_ADDRESS_HIDDEN", code])]);
});

test("services are named, with what their names bring along made visible where they are printed", () => {
  const [, sctp] = limitations('name: "signalling\\n", id: s, ports: [{ port: 80, protocol: SCTP }]');
  expect(sctp === undefined ? "" : formatProblem(sctp)).toContain(": default/signalling\\n port 80 [SCTP_UNSERVED]");
});

test("nothing is said of a plan without services", () => {
  const { topology } = parseTopology(Buffer.from("hosts: [{ name: a, address: 192.0.2.1 }]"), { file: "t.yaml" });
  expect(userspaceLimitations(planHost(topology, { host: "a" }))).toEqual([]);
});
