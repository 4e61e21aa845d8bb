import { addingCommands } from "@svcproxy/rules";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";

/** Chains of one kind that the services of a topology file get on its first host. */
function chains(kind: "SVC" | "SEP", services: string, pods = ""): string[] {
  const text = `
hosts:
  - name: one
    address: 192.0.2.1
    pods: [{ name: os1_my1, address: "10.1.0.2:3000" }, { name: os1_my2, address: "10.1.0.3:3000" }${pods}]
services:
${services}`;
  const { topology } = parseTopology(Buffer.from(text), { file: "test" });
  return compileScript(planHost(topology, { host: "one" }), { dialect: "document", family: 4 })
    .sections.flatMap((section) => [...addingCommands(section)])
    .filter((command) => command.kind === "newChain" && command.chain.startsWith(`KUBE-${kind}-`))
    .map(({ chain }) => chain.slice(`KUBE-${kind}-`.length));
}

const service = (name: string, rest: string, ip: string) => `  - { name: "${name}", clusterIP: ${ip}, ${rest} }\n`;
const ONE_PORT = "ports: [{ port: 80 }], endpoints: [os1_my1]";

test("a service without an id is called by its letters and digits", () => {
  expect(chains("SVC", service("my-web_2", ONE_PORT, "10.96.0.1"))).toEqual(["myweb2"]);
});

test("further ports join by name, or else by number, and by protocol where that is shared", () => {
  const ports = "ports: [{ port: 80 }, { name: admin, port: 81 }, { port: 53 }, { port: 53, protocol: UDP }]";
  expect(chains("SVC", service("web", `${ports}, endpoints: [os1_my1]`, "10.96.0.1"))).toEqual([
    "web",
    "web-admin",
    "web-53tcp",
    "web-53udp",
  ]);
});

test("two protocols on the first two ports need no more than the number", () => {
  const ports = "ports: [{ port: 53 }, { port: 53, protocol: UDP }]";
  expect(chains("SVC", service("dns", `${ports}, endpoints: [os1_my1]`, "10.96.0.1"))).toEqual(["dns", "dns-53"]);
});

test("an id that the user chose stays, and a name that would be the same gets a hash", () => {
  const services = service("a", `id: web, ${ONE_PORT}`, "10.96.0.1") + service("web", ONE_PORT, "10.96.0.2");
  expect(chains("SVC", services)).toEqual(["web", expect.stringMatching(/^web-\w{8}$/)]);
});

test("names that are empty, long or equal get hashes that do not change with the others", () => {
  const long = service("x".repeat(40), ONE_PORT, "10.96.0.1");
  const empty = service("★", ONE_PORT, "10.96.0.2");
  const [first, second] = chains("SVC", long + empty);
  expect([first, second]).toEqual([expect.stringMatching(/^x{10}-\w{8}$/), expect.stringMatching(/^\w{8}$/)]);
  expect(chains("SVC", empty + service("other", ONE_PORT, "10.96.0.3") + long)).toEqual([second, "other", first]);
});

test("a pod that serves on one port has its name, in the file's order, however many services it serves", () => {
  const services =
    service("a", "ports: [{ port: 80 }], endpoints: [os1_my2, os1_my1]", "10.96.0.1") +
    service("b", "ports: [{ port: 81 }], endpoints: [os1_my2]", "10.96.0.2");
  expect(chains("SEP", services, `, { name: idle, address: "10.1.0.4:3000" }`)).toEqual(["os1my1", "os1my2"]);
});

test("a pod with several ports has the port behind its name, and the protocol where one port serves two", () => {
  const ports = "ports: [{ port: 80 }, { port: 81, targetPort: 53 }, { port: 53, protocol: UDP, targetPort: 53 }]";
  expect(chains("SEP", service("a", `${ports}, endpoints: [os1_my1]`, "10.96.0.1"))).toEqual([
    "os1my1-3000",
    "os1my1-53tcp",
    "os1my1-53udp",
  ]);
});

test("an endpoint that is not a pod's is called by its address", () => {
  const services = service("a", `ports: [{ port: 80 }], endpoints: [os1_my1, "198.51.100.7:443"]`, "10.96.0.1");
  expect(chains("SEP", services)).toEqual(["os1my1", "198.51.100.7"]);
});

test("session affinity gives each service a chain of its own to the same pod", () => {
  const sticky = "sessionAffinity: ClientIP, ports: [{ port: 80 }], endpoints: [os1_my1]";
  const services =
    service("a", sticky, "10.96.0.1") + service("b", sticky, "10.96.0.2") + service("c", ONE_PORT, "10.96.0.3");
  expect(chains("SEP", services)).toEqual(["os1my1-a", "os1my1-b", "os1my1"]);
});

test("pods of the same letters get hashes", () => {
  const services = service("a", `ports: [{ port: 80 }], endpoints: [os1_my1, os1-my1]`, "10.96.0.1");
  const same = `, { name: os1-my1, address: "10.1.0.9:3000" }`;
  expect(chains("SEP", services, same)).toEqual([
    expect.stringMatching(/^os1my1-\w{8}$/),
    expect.stringMatching(/^os1my1-\w{8}$/),
  ]);
});
