import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

let folder = "";
let rules = "";
const path = (name: string) => join(folder, name);
const example = new URL("../../../../examples/cloudos.yaml", import.meta.url);
const lastRule = /^-I POSTROUTING .*\n/m;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-prove-"));
  rules = (await runInMemory(["iptables", "--host", "cloudos1", "--format", "restore"])).stdout;
  writeFileSync(path("document.txt"), rules);
  writeFileSync(path("without.txt"), rules.replace(lastRule, ""));
  writeFileSync(path("cut.txt"), rules.slice(0, -10));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("svcproxy prove", () => {
  test("holds for the document's rules, and shows what they do by design", async () => {
    const run = await runInMemory(["prove", "--host", "cloudos1"]);
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toContain("built-in example");
    expect(run.stdout.match(/^(?:held|BROKEN|undecided) /gm)).toEqual(Array.from({ length: 10 }, () => "held "));
    expect(run.stdout).toMatch(/^by design {2}NodePorts match on 127\.0\.0\.0\/8/m);
  });

  test.for(["document", "kubernetes"])("holds for the example in the %s dialect", async (dialect) => {
    expect((await runInMemory(["prove", "--host", "cloudos2", "--dialect", dialect])).exitCode).toBe(0);
  });

  test.for([
    "masqueradeAll: true",
    "clusterCIDR: 10.5.0.0/16",
    "localhostNodePorts: true",
    "nodePortAddresses: [192.168.1.0/24]",
    "masqueradeBit: 3",
    "detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 }",
  ])("holds with { %s }", async (settings) => {
    writeFileSync(path("node.yaml"), `${readFileSync(example, "utf8")}\nnode: { ${settings} }\n`);
    for (const dialect of ["document", "kubernetes"]) {
      const run = await runInMemory(["prove", path("node.yaml"), "--host", "cloudos1", "--dialect", dialect]);
      expect(run.exitCode, run.stdout).toBe(0);
    }
  });

  test.for(["document", "kubernetes"])("holds where nobody serves a NodePort on localhost (%s)", async (dialect) => {
    const unserved = "services: [{ name: web, clusterIP: 10.96.0.1, ports: [{ port: 80, nodePort: 30080 }] }]";
    const text = `hosts: [{ name: edge, address: 192.0.2.1 }]\n${unserved}\nnode: { localhostNodePorts: true }\n`;
    writeFileSync(path("unserved.yaml"), text);
    const run = await runInMemory(["prove", path("unserved.yaml"), "--host", "edge", "--dialect", dialect]);
    expect(run.exitCode, run.stdout).toBe(0);
  });

  test("breaks without the last rule, with the document's packet and a trace that runs", async () => {
    expect(lastRule.test(rules)).toBe(true);
    const run = await runInMemory(["prove", "--host", "cloudos1", "--rules", path("without.txt")]);
    expect(run.exitCode).toBe(3);
    expect(run.stdout).toContain("192.168.1.6 → 10.100.100.1:7070/tcp");
    expect(run.stdout).toContain("leaves by flannel.1 for 10.5.88.2:3000 as 192.168.1.6");
    const command = /\$ svcproxy (trace .*10\.100\.100\.1:7070)$/m.exec(run.stdout)?.[1] ?? "";
    const trace = await runInMemory(command.split(" "));
    expect(trace.stdout).toContain("as 192.168.1.6");
  });

  test("reads rules from stdin, and prints JSON", async () => {
    const stdin = rules.replace("COMMIT", "-I PREROUTING 1 -j ACCEPT\nCOMMIT");
    const run = await runInMemory(["prove", "--host", "cloudos1", "--rules", "-", "--json"], { stdin });
    expect(run.exitCode).toBe(3);
    const { holds, proofs } = JSON.parse(run.stdout);
    expect(holds).toBe(false);
    const broken = proofs[0].claims.filter(({ status }: { status: string }) => status !== "held");
    expect(broken.map(({ number, status }: { number: number; status: string }) => `${number} ${status}`)).toEqual([
      "1 broken",
      "6 broken",
    ]);
    expect(proofs[0].claims[5].broken[0]).toMatchObject({
      packet: { from: "10.5.75.2", to: "10.100.100.1:7070", protocol: "tcp" },
      rule: { table: "nat", chain: "PREROUTING", number: 1, text: "-j ACCEPT" },
    });
  });

  test("shows what the kubernetes dialect does as kube-proxy does: unserved NodePorts everywhere, the host past ranges", async () => {
    const services = `services:
  - name: nobody
    clusterIP: 10.100.100.9
    loadBalancerIPs: [192.0.2.9]
    loadBalancerSourceRanges: [203.0.113.0/24]
    ports: [{ port: 80, nodePort: 30084 }]
    endpoints: []
`;
    const hosts = readFileSync(example, "utf8").replace(/^services:[\s\S]*/m, services);
    writeFileSync(path("nobody.yaml"), `${hosts}\nnode: { nodePortAddresses: [192.168.1.0/24] }\n`);
    const run = await runInMemory(["prove", path("nobody.yaml"), "--host", "cloudos1", "--dialect", "kubernetes"]);
    expect(run.exitCode, run.stdout).toBe(0);
    expect(run.stdout).toContain("→ 10.5.75.1:30084/tcp");
    expect(run.stdout).toContain("192.168.1.6 → 192.0.2.9:80/tcp");
    const document = await runInMemory(["prove", path("nobody.yaml"), "--host", "cloudos1", "--dialect", "document"]);
    expect(document.exitCode, document.stdout).toBe(0);
    expect(document.stdout).not.toContain(":30084/tcp");
  });

  test("proves the families whose rules it is given, and says which it is not", async () => {
    const both = `hosts:
  - { name: h1, addresses: [192.0.2.1, "2001:db8::1"], podCIDRs: [10.1.0.0/24, "fd01::/64"], pods: [{ name: p, addresses: ["10.1.0.2:80", "[fd01::2]:80"] }] }
services:
  - { name: web, clusterIPs: [10.9.0.1, "fd09::1"], ports: [{ port: 80 }], endpoints: [p] }
`;
    writeFileSync(path("both.yaml"), both);
    const plan = [path("both.yaml"), "--host", "h1"];
    for (const family of ["4", "6"]) {
      const printed = await runInMemory(["iptables", ...plan, "--format", "restore", "--family", family]);
      writeFileSync(path(`both-${family}.txt`), printed.stdout);
    }
    const rulesOf = (...families: string[]) => families.flatMap((family) => ["--rules", path(`both-${family}.txt`)]);
    const one = await runInMemory(["prove", ...plan, ...rulesOf("4")]);
    expect(one.exitCode, one.stdout).toBe(0);
    expect(one.stdout).not.toContain("IPv6 rules");
    expect(one.stderr).toContain("no IPv6 rules were given");
    const two = await runInMemory(["prove", ...plan, ...rulesOf("4", "6")]);
    expect(two.exitCode).toBe(0);
    expect(two.stderr).toMatch(/^svcproxy: taken as all rules of the host: of nftables it has none besides [^\n]*$/);
    expect(two.stdout).toMatch(/IPv4 rules[\s\S]*IPv6 rules/);
    const twice = await runInMemory(["prove", ...plan, ...rulesOf("4", "4")]);
    expect([twice.exitCode, twice.stderr.includes("CONFLICTING_FLAGS")]).toEqual([2, true]);
  });

  test("takes rules of IPv6 for these where all services are of IPv4, and says of which nothing is known", async () => {
    const header = "# Generated by ip6tables-save v1.8.9 (nf_tables)\n";
    const rule = "-A INPUT ! -d ::1/128 -p tcp -m tcp --dport 9 -j DROP";
    writeFileSync(path("six.txt"), `${header}*filter\n:INPUT ACCEPT [0:0]\n${rule}\nCOMMIT\n`);
    const given = ["--host", "cloudos1", "--rules", path("six.txt")];
    const proved = await runInMemory(["prove", ...given]);
    expect([proved.exitCode, proved.stdout.match(/IPv\d rules of/g)]).toEqual([0, ["IPv6 rules of"]]);
    expect(proved.stderr).toContain("no IPv4 rules were given, so nothing is proved of IPv4");
    const traced = await runInMemory(["trace", ...given, "--from", "10.5.75.2", "--to", "10.100.100.1:7070"]);
    expect(traced.stderr).toContain("no IPv4 rules were given");
  });

  test("names the line of rules that cannot be read", async () => {
    const run = await runInMemory(["prove", "--host", "cloudos1", "--rules", path("cut.txt")]);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain("its COMMIT is missing");
  });
});

describe("svcproxy prove --same", () => {
  test("tells two rule sets apart by a packet, and finds equal ones the same", async () => {
    const same = ["prove", "--host", "cloudos1", "--same"];
    const equal = await runInMemory([...same, path("document.txt"), path("document.txt")]);
    expect([equal.exitCode, equal.stdout.slice(0, 9)]).toEqual([0, "The same:"]);
    const other = await runInMemory([...same, path("document.txt"), path("without.txt")]);
    expect(other.exitCode).toBe(3);
    expect(other.stdout).toMatch(/^Different: 192\.168\.1\.6 → /);
  });

  test("needs no host, and then says for which the answer holds", async () => {
    const drop = (rule: string) => `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n${rule}\nCOMMIT\n`;
    writeFileSync(path("cni.txt"), drop("-A FORWARD -d 10.9.0.0/16 -o cni7 -j DROP"));
    writeFileSync(path("none.txt"), drop(""));
    const same = async (a: string, b: string) => runInMemory(["prove", "--same", path(a), path(b)]);
    const run = await same("cni.txt", "none.txt");
    expect(run.exitCode).toBe(3);
    expect(run.stdout).toMatch(/^Different: .* → 10\.9\./);
    expect(run.stdout).toContain("with interfaces cni7, eth0");
    expect((await same("none.txt", "cni.txt")).exitCode).toBe(3);
    expect((await same("cni.txt", "cni.txt")).stdout).toContain("to the letter");
  });

  test("says which family it did not compare", async () => {
    writeFileSync(path("four.txt"), "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.9/32 -j DROP\nCOMMIT\n");
    const inet = "table inet t {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n";
    writeFileSync(path("inet.txt"), `${inet}\t\tip saddr 10.0.0.9 drop\n\t\tip6 saddr fd00::9 drop\n\t}\n}\n`);
    const run = await runInMemory(["prove", "--same", path("four.txt"), path("inet.txt")]);
    expect(run.stdout).toMatch(/^The same: /);
    expect(run.stdout).toContain(`IPv6 was not compared: ${path("four.txt")} has no rules of it`);
    const json = await runInMemory(["prove", "--same", path("inet.txt"), path("four.txt"), "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ kind: "same", families: [4], notCompared: [{ family: 6 }] });
    expect((await runInMemory(["prove", "--same", path("four.txt"), path("four.txt")])).stdout).not.toContain("IPv6");
  });

  test("takes two files", async () => {
    const run = await runInMemory(["prove", "--host", "cloudos1", "--same", path("document.txt")]);
    expect([run.exitCode, run.stderr.includes("TWO_FILES")]).toEqual([2, true]);
  });
});
