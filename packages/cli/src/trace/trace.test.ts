import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

let folder = "";
const path = (name: string) => join(folder, name);
const packet = ["--from", "10.5.75.2", "--to", "10.100.100.1:7070"];

const STATE = {
  addr: [
    { ifname: "lo", flags: ["LOOPBACK"], addr_info: [{ local: "127.0.0.1", prefixlen: 8, scope: "host" }] },
    { ifname: "eth0", addr_info: [{ local: "192.168.1.6", prefixlen: 24, scope: "global" }] },
  ],
  route: [{ dst: "default", dev: "eth0" }],
  sysctls: { "net.ipv4.ip_forward": "1" },
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-trace-"));
  writeFileSync(path("rules.txt"), "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 25 -j DROP\nCOMMIT\n");
  writeFileSync(path("state.json"), JSON.stringify(STATE));
  writeFileSync(
    path("good.yaml"),
    `- { from: 10.5.75.2, to: "10.100.100.1:7070", expect: { verdict: accepted, endpoints: ["10.5.88.2:3000", "10.5.75.2:3000"] } }
- { from: 192.168.1.6, to: "10.100.100.1:7070", expect: { masqueraded: true } }
- { from: 10.5.75.2, to: 10.5.75.3, proto: icmp, in-interface: cni0, expect: { verdict: untouched, masqueraded: false } }
`,
  );
  writeFileSync(
    path("bad.jsonl"),
    `{"from":"10.5.75.2","to":"10.100.100.1:7070","expect":{"verdict":"refused","endpoints":["10.5.75.2:3000"]}}\n`,
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("svcproxy trace", () => {
  test("follows a packet through the document's rules, and says whose topology that is", async () => {
    const run = await runInMemory(["trace", "--host", "cloudos1", ...packet]);
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toContain("built-in example");
    expect(run.stdout).toContain("accepted at 10.5.75.2:3000 as 10.5.75.1 (masqueraded)");
  });

  test("gives probabilities as fractions and numbers, and what was intended", async () => {
    const run = await runInMemory(["trace", "--host", "cloudos1", ...packet, "--sport", "40001", "--json"]);
    const half = { fraction: "1/2", value: 0.5 };
    expect(JSON.parse(run.stdout)).toMatchObject({
      packet: { from: "10.5.75.2:40001", to: "10.100.100.1:7070", protocol: "tcp" },
      branches: [
        {
          probability: half,
          share: half,
          verdict: "accepted",
          destination: "10.5.75.2:3000",
          source: "10.5.75.1:40001",
          masqueraded: true,
          endpoint: "10.5.75.2:3000",
          undecidedBy: null,
          reply: { returns: true },
        },
        {
          probability: half,
          share: half,
          verdict: "accepted",
          destination: "10.5.88.2:3000",
          source: "10.5.75.2:40001",
          masqueraded: false,
        },
      ],
    });
  });

  test("takes names of the topology for addresses", async () => {
    const byName = ["--from", "os1_my1", "--to", "service1:7070"];
    const [named, plain] = await Promise.all([
      runInMemory(["trace", "--host", "cloudos1", ...byName]),
      runInMemory(["trace", "--host", "cloudos1", ...packet]),
    ]);
    expect(named).toEqual(plain);
  });

  test("names find their topology where rules and host are given", async () => {
    const argv = ["trace", "--rules", path("rules.txt"), "--host-state", path("state.json"), "--from", "os1_my1"];
    const run = await runInMemory([...argv, "--to", "cloudos1:25", "--in-interface", "eth0", "--host", "cloudos1"]);
    expect(run.stdout).toContain("from 10.5.75.2 to 192.168.1.6:25");
    expect(run.stdout).toContain("dropped");
  });

  test("says that a VIP is dialled on a port that it does not have", async () => {
    const argv = ["trace", "--host", "cloudos1", "--from", "10.5.75.2", "--to", "10.100.100.1:7071"];
    const run = await runInMemory(argv);
    expect(run.stdout.replaceAll("\n", " ")).toContain(
      "10.100.100.1 is the ClusterIP of default/service1, which has no port 7071/tcp: it has 7070/tcp.",
    );
    const json = await runInMemory([...argv, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      wrongPort: { services: ["default/service1"], ports: ["7070/tcp"] },
    });
  });

  test.for([
    { name: "the port of another protocol", argv: ["10.100.100.1:7070", "--proto", "udp"], isSaid: true },
    { name: "the port that it has", argv: ["10.100.100.1:7070"], isSaid: false },
    { name: "an address that is no VIP", argv: ["10.5.88.2:7071"], isSaid: false },
    { name: "a protocol without ports", argv: ["10.100.100.1", "--proto", "icmp"], isSaid: false },
  ])("of a VIP's ports, for $name: $isSaid", async ({ argv: [to = "", ...more], isSaid }) => {
    const run = await runInMemory(["trace", "--host", "cloudos1", "--from", "10.5.75.2", "--to", to, ...more]);
    expect(run.exitCode).toBe(0);
    expect(run.stdout.includes("which has no port")).toBe(isSaid);
  });

  test("follows Kubernetes' rules, too", async () => {
    const run = await runInMemory(["trace", "--host", "cloudos1", "--dialect", "kubernetes", ...packet, "--json"]);
    const { branches } = JSON.parse(run.stdout);
    expect(branches.map((branch: { endpoint: string }) => branch.endpoint).sort()).toEqual([
      "10.5.75.2:3000",
      "10.5.88.2:3000",
    ]);
  });

  test("needs no topology where rules and host are given; one of them may be stdin", async () => {
    const argv = ["trace", "--rules", "-", "--host-state", path("state.json"), "--from", "192.168.1.9"];
    const stdin = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 25 -j DROP\nCOMMIT\n";
    const run = await runInMemory([...argv, "--to", "192.168.1.6:25", "--json"], { stdin });
    expect(run.stderr).toMatch(/^svcproxy: taken as all rules of the host: of nftables it has none besides [^\n]*$/);
    expect(JSON.parse(run.stdout).branches).toMatchObject([{ verdict: "dropped", because: "rule 1 of filter INPUT" }]);
  });

  test("icmp between IPv6 addresses is IPv6's own", async () => {
    const stdin = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p ipv6-icmp -j DROP\nCOMMIT\n";
    const argv = ["trace", "--rules", "-", "--host-state", path("state.json"), "--from", "fd00::9", "--to", "::1"];
    const run = await runInMemory([...argv, "--proto", "icmp", "--in-interface", "eth0", "--json"], { stdin });
    expect(JSON.parse(run.stdout).packet).toMatchObject({ protocol: "ipv6-icmp", to: "::1" });
  });

  test("an empty rules file is a host without rules", async () => {
    const argv = ["trace", "--rules", "-", "--host-state", path("state.json"), "--from", "192.168.1.9"];
    const run = await runInMemory([...argv, "--to", "192.168.1.6:25", "--json"]);
    expect(JSON.parse(run.stdout).branches).toMatchObject([{ verdict: "untouched" }]);
  });

  test("says that a rules file is empty, and refuses one without rules", async () => {
    const argv = ["trace", "--rules", "-", "--host-state", path("state.json"), "--from", "192.168.1.9"];
    const empty = await runInMemory([...argv, "--to", "192.168.1.6:25"], { stdin: "# nothing\n" });
    expect(empty.stderr).toContain('"-" has no rules');
    const commands = await runInMemory([...argv, "--to", "192.168.1.6:25"], { stdin: "iptables -A INPUT -j DROP\n" });
    expect(commands).toMatchObject({ exitCode: 2, stdout: "" });
    expect(commands.stderr).toContain("[NOT_SAVED_RULES]");
  });

  test.for(["mermaid", "dot"])("draws %s", async (format) => {
    const run = await runInMemory(["trace", "--host", "cloudos1", ...packet, "--format", format]);
    expect(run.stdout).toMatch(format === "dot" ? /^digraph/ : /^flowchart/);
  });

  test.for([
    { name: "no packet", argv: [], code: "PACKET_REQUIRED" },
    { name: "no port", argv: ["--from", "10.5.75.2", "--to", "10.100.100.1"], code: "PORT_REQUIRED" },
    { name: "no address", argv: ["--from", "10.5.75", "--to", "10.100.100.1:7070"], code: "BAD_PACKET" },
    { name: "no name", argv: ["--from", "os1_my9", "--to", "10.100.100.1:7070"], code: "UNKNOWN_NAME" },
    { name: "no name", argv: ["--from", "os1_my1", "--to", "servce1:7070"], code: "UNKNOWN_NAME" },
    { name: "two families", argv: ["--from", "fd00::1", "--to", "10.100.100.1:7070"], code: "MIXED_FAMILIES" },
    { name: "an interface that is not there", argv: [...packet, "--in-interface", "eth9"], code: "UNKNOWN_INTERFACE" },
    { name: "a state that does not exist", argv: [...packet, "--state", "OLD"], code: "BAD_PACKET" },
    { name: "a protocol that does not exist", argv: [...packet, "--proto", "tpc"], code: "UNKNOWN_PROTOCOL" },
    { name: "a protocol's number beyond 8 bits", argv: [...packet, "--proto", "256"], code: "UNKNOWN_PROTOCOL" },
    { name: "source port 0", argv: [...packet, "--sport", "0"], code: "BAD_PACKET" },
    { name: "a list and a packet", argv: [...packet, "--packets", "x"], code: "CONFLICTING_FLAGS" },
    { name: "a picture of a list", argv: ["--packets", "x", "--format", "dot"], code: "CONFLICTING_FLAGS" },
    { name: "two things from stdin", argv: ["--packets", "-", "--rules", "-"], code: "STDIN_TWICE" },
    { name: "two sources of rules", argv: [...packet, "--live", "--rules", "x"], code: "CONFLICTING_FLAGS" },
    { name: "a file that is not there", argv: [...packet, "--rules", "/nowhere"], code: "FILE_UNREADABLE" },
  ])("$name: exit 2 with $code", async ({ argv, code }) => {
    const run = await runInMemory(["trace", "--host", "cloudos1", ...argv]);
    expect(run.stderr).toContain(`[${code}]`);
    expect(run).toMatchObject({ exitCode: 2, stdout: "" });
  });
});

describe("svcproxy trace --packets", () => {
  test("takes names, too", async () => {
    const stdin = '- { from: os1_my1, to: "service1:7070", expect: { verdict: accepted } }\n';
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", "-"], { stdin });
    expect(JSON.parse(run.stdout)).toMatchObject({
      packet: { from: "10.5.75.2:40000", to: "10.100.100.1:7070" },
      differences: [],
    });
  });

  test("prints an object a line, and is silent where all is as expected", async () => {
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", path("good.yaml")]);
    const lines = run.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ differences }) => differences)).toEqual([[], [], []]);
    expect(run.exitCode).toBe(0);
  });

  test("ends with 4 where it hangs on what nobody knows whether one is as expected", async () => {
    writeFileSync(
      path("open.rules"),
      "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m string --string x --algo bm -j DROP\nCOMMIT\n",
    );
    const packet = (verdict: string) =>
      `{"from":"10.5.75.2","to":"10.5.88.2:80","in-interface":"cni0","expect":{"verdict":"${verdict}"}}\n`;
    const judged = (...verdicts: string[]) => {
      writeFileSync(path("open.jsonl"), verdicts.map(packet).join(""));
      return runInMemory([
        "trace",
        "--host",
        "cloudos1",
        "--rules",
        path("open.rules"),
        "--packets",
        path("open.jsonl"),
      ]);
    };
    const run = await judged("dropped");
    expect(run.exitCode).toBe(4);
    expect(run.stderr).toMatch(/open\.jsonl:1:1: .*verdict is dropped or untouched, not dropped \[UNDECIDED\]/);
    expect(JSON.parse(run.stdout)).toMatchObject({ differences: [], undecided: [expect.any(String)] });
    expect(await judged("dropped", "refused")).toMatchObject({ exitCode: 3 });
    expect(await judged("undecided")).toMatchObject({ exitCode: 0 });
  });

  test("ends with 3 and says what differs", async () => {
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", path("bad.jsonl")]);
    expect(run.exitCode).toBe(3);
    expect(run.stderr).toMatch(/bad\.jsonl:1:1: .*verdict is accepted, not refused \[UNEXPECTED\]/);
    expect(run.stderr).toContain("endpoints are 10.5.75.2:3000, 10.5.88.2:3000, not 10.5.75.2:3000");
  });

  test("names every packet that cannot be read", async () => {
    const stdin = '{"from":"10.5.75.2","to":"10.100.100.1:7070","sprot":1}\n{"from":"x","to":"10.100.100.1:7070"}\n';
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", "-"], { stdin });
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/-:1:1: .*sprot.*UNKNOWN_KEY[\s\S]*Did you mean sport[\s\S]*-:2:1: .*from "x"/);
  });

  test.for([
    { name: "no object", entry: "5", line: 2, says: "Cannot trace 5: a packet is an object [BAD_PACKET]" },
    { name: "no port", entry: "{ from: 10.5.75.2, to: 10.5.75.3 }", line: 2, says: "[PORT_REQUIRED]" },
    { name: "two families", entry: '{ from: "fd00::1", to: "10.5.75.3:80" }', line: 2, says: "[MIXED_FAMILIES]" },
    {
      name: "an interface that is not there",
      entry: '{ from: 10.5.75.2, to: "10.5.75.3:80", inInterface: eth9 }',
      line: 2,
      says: "[UNKNOWN_INTERFACE]",
    },
    {
      name: "an endpoint that is not an address",
      entry: '{ from: 10.5.75.2, to: "10.5.75.3:80", expect: { endpoints: [pod] } }',
      line: 2,
      says: '"pod" is not ip:port [BAD_EXPECTATION]',
    },
  ])("a YAML list's bad entry is named by its line: $name", async ({ entry, line, says }) => {
    const stdin = `- { from: 10.5.75.2, to: "10.100.100.1:7070" }\n- ${entry}\n`;
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", "-"], { stdin });
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toContain(`-:${line}:3: `);
    expect(run.stderr).toContain(says);
  });

  test("a line that is not JSON is named, and the others' faults with it", async () => {
    const stdin = '{"from":"10.5.75.2","to":"10.100.100.1:7070"}\n{"from":"10.5.75.2" "to":1}\nnonsense\n{"from":1}\n';
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", "-"], { stdin });
    expect(run).toMatchObject({ exitCode: 2, stdout: "" });
    expect(run.stderr.match(/^-:\d+:1:/gm)).toEqual(["-:2:1:", "-:3:1:", "-:4:1:"]);
  });

  test("an endpoint is compared in its canonical spelling", async () => {
    const expected = '{"endpoints":["[FD00:0:0::9]:80"]}';
    const stdin = `{"from":"fd00::1","to":"[fd00::9]:80","inInterface":"eth0","expect":${expected}}\n`;
    const run = await runInMemory(["trace", "--host", "cloudos1", "--packets", "-"], { stdin });
    expect(run.stderr).toContain("endpoints are none, not [fd00::9]:80");
  });
});

test("host-state prints what trace --host-state reads", async () => {
  const state = await runInMemory(["host-state"]);
  writeFileSync(path("own.json"), state.stdout);
  const argv = ["trace", "--rules", path("rules.txt"), "--host-state", path("own.json")];
  const run = await runInMemory([...argv, "--from", "127.0.0.1", "--to", "127.0.0.1:25", "--json"]);
  expect(JSON.parse(run.stdout).branches).toMatchObject([{ verdict: "dropped" }]);
});
