import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseKubernetes } from "./parse-kubernetes.ts";

const golden = (name: string) => readFileSync(new URL(`../../golden/kubernetes/${name}`, import.meta.url), "utf8");

function looseOf(...texts: readonly string[]) {
  const { warnings } = parseKubernetes(
    texts.map((text, index) => ({ file: `f${index}.yaml`, bytes: Buffer.from(text) })),
    {},
  );
  return warnings
    .filter(({ code }) => code === "JOINS_NOTHING" || code === "NO_ENDPOINTS_GIVEN")
    .map(({ message, hint }) => (hint === undefined ? message : `${message} | ${hint}`));
}

const NODE = `{ apiVersion: v1, kind: Node, metadata: { name: n1 }, status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] } }
---
`;
const service = (spec: string, name = "web") =>
  `{ apiVersion: v1, kind: Service, metadata: { namespace: d, name: ${name} }, spec: { clusterIP: 10.96.0.20, ${spec} } }\n---\n`;
const slice = (rest: string, { owner = "web", namespace = "d", type = "IPv4" } = {}) =>
  `{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { namespace: ${namespace}, name: s-${owner}, labels: { kubernetes.io/service-name: ${owner} } }, addressType: ${type}, ${rest} }\n---\n`;
const PORTS = "ports: [{ port: 80 }]";
const ENDPOINT = "endpoints: [{ addresses: [10.1.0.5], nodeName: n1 }]";

describe("an object that joins to nothing is named, with the reason", () => {
  test.for([
    {
      name: "a slice whose port has another name",
      texts: [golden("joins-not-port-name.yaml")],
      says: [/"d\/web-1": ports\[0\]: no port of Service d\/web is named "http".* \| It has: "" \(tcp\)$/],
    },
    {
      name: "a slice whose port has another protocol",
      texts: [golden("joins-not-protocol.yaml")],
      says: [/port "" of Service d\/web is tcp, not udp/],
    },
    {
      name: "a slice that is labelled as a headless Service's",
      texts: [
        NODE +
          service("ports: [{ port: 80 }]") +
          slice(`${PORTS}, ${ENDPOINT}`).replace("labels: {", 'labels: { service.kubernetes.io/headless: "",'),
      ],
      says: [
        /^EndpointSlice "d\/s-web": metadata\.labels\[service\.kubernetes\.io\/headless\]: kube-proxy passes over/,
      ],
    },
    {
      name: "a slice with a misspelt label, and its Service",
      texts: [golden("joins-not-label.yaml")],
      says: [
        /^Service "d\/web": it has no selector, and no EndpointSlice/,
        /"d\/web-1": metadata\.labels\[kubernetes\.io\/service-name\]: it belongs to Service "d\/wbe", which is not among the objects \| Is Service "d\/web" meant\?$/,
      ],
    },
    {
      name: "a slice without the label, and its Service",
      texts: [golden("joins-not-no-label.yaml")],
      says: [/it has no selector/, /it has no label kubernetes\.io\/service-name/],
    },
    {
      name: "a slice in another namespace",
      texts: [service(PORTS), slice(`${PORTS}, ${ENDPOINT}`, { namespace: "e" })],
      says: [/Service "e\/web", which is not among the objects \| Is Service "d\/web" meant\?$/, /it has no selector/],
    },
    {
      name: "a slice of a family that the Service does not have",
      texts: [service(PORTS), slice(`${PORTS}, endpoints: [{ addresses: ["fd00::5"] }]`, { type: "IPv6" })],
      says: [/Service d\/web has no IPv6 ClusterIP, so these endpoints are not used/],
    },
    {
      name: "an endpoint on a node that is not there",
      texts: [NODE, service(PORTS), slice(`${PORTS}, endpoints: [{ addresses: [10.1.0.5], nodeName: n9 }]`)],
      says: [/node "n9", which runs an endpoint, is not among the Nodes/],
    },
    {
      name: "Endpoints without their Service",
      texts: [
        "{ apiVersion: v1, kind: Endpoints, metadata: { name: old }, subsets: [{ addresses: [{ ip: 10.1.0.5 }], ports: [{ port: 80 }] }] }",
      ],
      says: [/^Endpoints "default\/old": it belongs to Service "default\/old", which is not among the objects$/],
    },
    {
      name: "a Service whose selector fits no Pod",
      texts: [
        service("selector: { app: web }, ports: [{ port: 80, targetPort: http }]"),
        "{ apiVersion: v1, kind: Pod, metadata: { namespace: d, name: p, labels: { app: wbe } }, status: { podIP: 10.1.0.5 } }",
      ],
      says: [
        /spec\.selector: no EndpointSlice belongs to it, and it selects no Pod, or none .* has a port named "http"$/,
      ],
    },
  ])("$name", ({ texts, says }) => {
    const found = looseOf(...texts);
    expect(found).toHaveLength(says.length);
    for (const [index, words] of says.entries()) expect(found[index]).toMatch(words);
  });
});

test.for([
  { name: "what joins", texts: [NODE, service(PORTS), slice(`${PORTS}, ${ENDPOINT}`)] },
  { name: "a slice that names nobody yet", texts: [service(PORTS), slice(`${PORTS}, endpoints: []`)] },
  {
    name: "a headless Service's slice",
    texts: [
      service("clusterIP: None, ports: []").replace("10.96.0.20, clusterIP: ", ""),
      slice(`${PORTS}, ${ENDPOINT}`),
    ],
  },
  { name: "nodes, where no Node is given", texts: [service(PORTS), slice(`${PORTS}, ${ENDPOINT}`)] },
  {
    name: "the Endpoints by which leaders are elected",
    texts: ["{ apiVersion: v1, kind: Endpoints, metadata: { name: leader } }"],
  },
  {
    name: "a slice of a Service that is left to another proxy",
    texts: [
      service(PORTS).replace("name: web }", "name: web, labels: { service.kubernetes.io/service-proxy-name: other } }"),
      slice(`${PORTS}, ${ENDPOINT}`),
    ],
  },
])("nothing is said of $name", ({ texts }) => {
  expect(looseOf(...texts)).toEqual([]);
});

test("of Services alone is said how many have an endpoint, before each of them is refused", () => {
  expect(looseOf(NODE, service(PORTS), service(PORTS, "other").replace("0.20", "0.21"))).toEqual([
    expect.stringMatching(
      /^Service "d\/web": 0 of 2 Services have an endpoint.*was `endpointslices` left out\? \| kubectl get/,
    ),
  ]);
});
