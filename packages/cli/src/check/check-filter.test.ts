import { describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

/** 3,000 services of one port with a NodePort and two endpoints each, in two namespaces; every tenth has none. */
const MANY = JSON.stringify({
  hosts: [
    {
      name: "h1",
      address: "192.168.0.1",
      podCIDR: "10.0.0.0/8",
      pods: Array.from({ length: 6000 }, (_, index) => ({
        name: `p${index}`,
        address: `10.1.${index >> 8}.${index & 255}:80`,
      })),
    },
  ],
  services: Array.from({ length: 3000 }, (_, index) => ({
    name: `s${index}`,
    namespace: index % 2 === 0 ? "even" : "odd",
    clusterIP: `172.16.${index >> 8}.${index & 255}`,
    ports: [{ port: 80, nodePort: 30000 + index }],
    endpoints: index % 10 === 0 ? [] : [`p${2 * index}`, `p${2 * index + 1}`],
  })),
});

const check = (...flags: readonly string[]) => runInMemory(["check", "-", "--host", "h1", ...flags], { stdin: MANY });
const linesOf = (text: string) => text.split("\n").length;

describe("check of 3,000 services", () => {
  test("prints so much of each table as tells what it is like, unless it is asked for all", async () => {
    const { stdout } = await check();
    expect(linesOf(stdout)).toBeLessThan(450);
    expect(stdout).toContain("Services (3000)\n");
    expect(stdout).toContain("… and 5900 more: --all shows them, --service NAME those of one service\n");
    expect(linesOf((await check("--all")).stdout)).toBeGreaterThan(20_000);
  });

  test("prints a summary without tables", async () => {
    const { stdout } = await check("--summary");
    const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(rows).toEqual(
      expect.arrayContaining([
        ["services", "3000", "3000 served, 300 with a port without a ready endpoint"],
        ["endpoints", "5400", "5400 ready"],
        ["frontends", "6000", "-"],
      ]),
    );
    expect(linesOf(stdout)).toBeLessThan(20);
    expect(stdout).toContain("warning CLIENT_ADDRESS_HIDDEN  1");
  });

  test.for([
    { flags: ["--service", "even/s2"], services: ["s2"], pods: ["p4", "p5"] },
    { flags: ["--service", "s2", "--service", "s3"], services: ["s2", "s3"], pods: ["p4", "p5", "p6", "p7"] },
    { flags: ["--service", "s2", "--namespace", "odd"], services: [], pods: [] },
    { flags: ["--service", "s2", "--service", "s10", "--unready"], services: ["s10"], pods: [] },
  ])("$flags shows those services, their pods and what the host does for them", async ({ flags, services, pods }) => {
    const report = JSON.parse((await check(...flags, "--json")).stdout);
    const names = (list: readonly { name: string }[]) => list.map(({ name }) => name);
    expect(names(report.services)).toEqual(services);
    expect(names(report.pods)).toEqual(pods);
    const planned = report.plan.frontends.map(({ service }: { service: string }) => service.split("/")[1]);
    expect([...new Set(planned)]).toEqual(services);
  });

  test("takes a namespace and what lacks an endpoint", async () => {
    const { services } = JSON.parse((await check("--namespace", "odd", "--json")).stdout);
    expect(services).toHaveLength(1500);
    expect(JSON.parse((await check("--unready", "--json")).stdout).services).toHaveLength(300);
  });

  test.for([
    ["--service", "even/s2x", 'no service "even/s2x"', 'Did you mean "even/s2"?'],
    ["--namespace", "eve", 'no namespace "eve"', 'Did you mean "even"?'],
  ] as const)("%s %s is a mistake that is named", async ([flag, value, message, hint]) => {
    const { exitCode, stderr } = await check(flag, value);
    expect([exitCode, stderr.includes(message), stderr.includes(hint)]).toEqual([2, true, true]);
  });
});

test("of many warnings alike the first are told, and how many more there are", async () => {
  const services = Array.from({ length: 30 }, (_, index) => ({
    name: `s${index}`,
    clusterIP: `172.16.0.${index}`,
    ports: [{ port: 80, nodePort: 100 + index }],
  }));
  const { stdout, stderr } = await runInMemory(["check", "-", "--json"], {
    stdin: JSON.stringify({ hosts: [], services }),
  });
  expect(stderr.match(/\[LOW_NODE_PORT\]\n {2}hint/g)).toHaveLength(20);
  expect(stderr).toContain("10 more warnings like that [LOW_NODE_PORT]");
  expect(JSON.parse(stdout).warnings).toHaveLength(30);
});

test("problems of services that are not shown are not told", async () => {
  const stdin = `
hosts: [{ name: h1, address: 192.168.0.1 }]
services:
  - { name: a, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: ["10.100.0.1:80"] }
  - { name: b, clusterIP: 10.100.0.2, ports: [{ port: 80 }], endpoints: ["10.100.0.2:80"] }
`;
  const { stderr } = await runInMemory(["check", "-", "--service", "b"], { stdin });
  expect(stderr.match(/Endpoints of default\/./g)).toEqual(["Endpoints of default/b"]);
});
