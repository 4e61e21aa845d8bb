import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { exampleTopology } from "@svcproxy/topology";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";
import { resolveHost } from "./read-topology.ts";

let folder = "";
const path = (name: string) => join(folder, name);

const SERVICE = (name: string, ip: string) => `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: ${ip}, externalIPs: [203.0.113.1], ports: [{ port: ${ip.split(".")[3]} }] }
`;
const NODE = `
apiVersion: v1
kind: Node
metadata: { name: node1 }
spec: { podCIDR: 10.1.0.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.168.0.1 }] }
`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-read-"));
  writeFileSync(path("topology.yaml"), "hosts: [{ name: h1, address: 192.168.0.1, podCIDR: 10.1.0.0/24 }]\n");
  writeFileSync(path("other.yaml"), "hosts: [{ name: h2, address: 192.168.0.2 }]\n");
  writeFileSync(path("broken.yaml"), "hosts:\n  - name: h1\n    adress: 192.168.0.1\n");
  writeFileSync(path("large.yaml"), "");
  truncateSync(path("large.yaml"), 64 * 1024 * 1024 + 1);
  writeFileSync(
    path("config.yaml"),
    "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\niptables: { masqueradeBit: 3 }\n",
  );
  symlinkSync("circle", path("circle"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder of its own with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(folder, "objects-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text);
  return made;
}

async function check(...argv: readonly string[]) {
  const run = await runInMemory(["check", ...argv, "--json"]);
  const report: unknown = run.stdout === "" ? undefined : JSON.parse(run.stdout);
  return { ...run, report };
}

describe("where no topology is named", () => {
  const from = (file: string | undefined, ...argv: readonly string[]) =>
    runInMemory(argv, file === undefined ? {} : { defaultSource: path(file) });

  test("this host's own is taken, also by what judges the host", async () => {
    const check = await from("topology.yaml", "check");
    expect([check.exitCode, check.stdout.includes("h1")]).toEqual([0, true]);
    expect(check.stderr).toBe(`svcproxy: no topology given, using ${path("topology.yaml")}`);
    const rules = await from("topology.yaml", "iptables", "--host", "h1");
    expect([rules.exitCode, rules.stdout.includes('host "h1"')]).toEqual([0, true]);
    const unit = await from("topology.yaml", "userspace", "--host", "h1", "--print-unit");
    expect([unit.exitCode, unit.stdout.includes("ExecStart=")]).toEqual([0, true]);
  });

  test("it is read like one that is named, faults and all", async () => {
    const { exitCode, stderr } = await from("broken.yaml", "iptables", "--host", "h1");
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("adress")]);
  });

  test("what prints takes the example where this host has none, and what judges the host ends with 2", async () => {
    expect((await from(undefined, "iptables", "--host", "cloudos1")).exitCode).toBe(0);
    expect(await from(undefined, "check")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("TOPOLOGY_REQUIRED"),
    });
  });

  test.skipIf(process.getuid?.() !== 0)("this host's own is /etc/svcproxy/topology.yaml", () => {
    const script = `mount -t tmpfs tmpfs /etc; mkdir /etc/svcproxy; cp "$1" /etc/svcproxy/topology.yaml; "$2" "$3" check`;
    const args = [path("topology.yaml"), process.execPath, inject("program")];
    const { stderr, status } = spawnSync("unshare", ["--mount", "sh", "-ec", script, "sh", ...args], {
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, "svcproxy: no topology given, using /etc/svcproxy/topology.yaml\n"]);
  });
});

describe("a topology", () => {
  test("comes from stdin", async () => {
    const { exitCode, stdout } = await runInMemory(["check", "-"], {
      stdin: `${NODE}---${SERVICE("web", "10.96.0.1")}`,
    });
    expect([exitCode, stdout.includes("default/web")]).toEqual([0, true]);
  });

  test("comes from all YAML and JSON files of a directory, in the order of their names", async () => {
    const made = folderOf({
      "b.yml": SERVICE("b", "10.96.0.2"),
      "a.yaml": `${SERVICE("a", "10.96.0.1")}---${NODE}`,
      "c.json": JSON.stringify({ apiVersion: "v1", kind: "ConfigMap" }),
      "empty.yaml": "# nothing\n",
      "notes.txt": "not: [yaml",
    });
    const { exitCode, report, stderr } = await check(made);
    expect(exitCode).toBe(0);
    expect(report).toMatchObject({
      source: "kubernetes",
      services: [{ name: "a" }, { name: "b" }],
      hosts: [{ name: "node1" }],
    });
    expect(stderr).toContain('"passedOver":{"ConfigMap":1}');
  });

  test("that is one object without its apiVersion is told which", async () => {
    const { exitCode, stderr } = await runInMemory(["check", "-"], {
      stdin: SERVICE("web", "10.96.0.1").replace("apiVersion: v1", ""),
    });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("it is of kind Service, but has no apiVersion [MISSING_KEY]");
    expect(stderr).not.toContain("UNKNOWN_KEY");
  });

  test("comes from several files", async () => {
    const made = folderOf({ "s.yaml": SERVICE("a", "10.96.0.1"), "n.yaml": NODE });
    const { report } = await check(join(made, "s.yaml"), join(made, "n.yaml"));
    expect(report).toMatchObject({ services: [{ name: "a" }], hosts: [{ name: "node1" }] });
  });

  test("of Kubernetes objects serves the external IPs that are allowed", async () => {
    const made = folderOf({ "s.yaml": SERVICE("a", "10.96.0.1") });
    const refused = await check(made);
    expect(refused.stderr).toContain("[EXTERNAL_IP_REFUSED]");
    const allowed = await check(made, "--allow-external-ips", "10.0.0.0/8", "--allow-external-ips", "203.0.113.0/24");
    expect(allowed.stderr).not.toContain("[EXTERNAL_IP_REFUSED]");
    expect(JSON.stringify(allowed.report)).toContain("external IP 203.0.113.1:1");
  });

  test("of Kubernetes objects has no host but its Nodes", async () => {
    const made = folderOf({ "s.yaml": SERVICE("a", "10.96.0.1") });
    const { exitCode, stderr } = await check(made, "--host", "node1");
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      'The objects have no Node "node1" [UNKNOWN_HOST]\n  hint: Give the Nodes too: kubectl get',
    );
  });

  test("takes the settings of --config", async () => {
    const { report } = await check(path("topology.yaml"), "--config", path("config.yaml"));
    expect(report).toMatchObject({ node: { masqueradeBit: 3, masqueradeAll: false } });
  });

  test.for([
    ["no topology", [], "[TOPOLOGY_REQUIRED]"],
    ["a file that is not there", ["nowhere.yaml"], "there is no such file [FILE_UNREADABLE]"],
    ["a link to itself", ["circle"], "[FILE_UNREADABLE]"],
    ["a file above 64 MiB", ["large.yaml"], "[FILE_TOO_LARGE]"],
    ["two topology files", ["topology.yaml", "other.yaml"], "[SEVERAL_DOCUMENTS]"],
    [
      "a host that it does not list",
      ["topology.yaml", "--host", "h9"],
      'no host "h9" [UNKNOWN_HOST]\n  hint: Hosts of the topology: "h1"',
    ],
    ["what is not a block", ["topology.yaml", "--allow-external-ips", "all"], "[BAD_CIDR]"],
    ["what is not a configuration", ["topology.yaml", "--config", "other.yaml"], "[UNKNOWN_VALUE]"],
    ["a flag that there is not", ["topology.yaml", "--hots", "h1"], ""],
  ] as const)("%s is the user's mistake", async ([, argv, message]) => {
    const named = argv.map((word) => (/\.yaml$|^circle$/.test(word) ? path(word) : word));
    const { exitCode, stdout, stderr } = await runInMemory(["check", ...named]);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("with a fault is shown where it has it", async () => {
    const { exitCode, stderr } = await runInMemory(["check", path("broken.yaml")]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      `${path("broken.yaml")}:3:5: Unknown key "adress" [UNKNOWN_KEY]\n  hint: Did you mean \`address\`?`,
    );
  });

  test("with faults is told as data too by --json", async () => {
    const { exitCode, report } = await check(path("broken.yaml"));
    expect(exitCode).toBe(2);
    expect(report).toMatchObject({
      faults: [{ code: "UNKNOWN_KEY", at: { line: 3, column: 5 } }],
    });
  });

  test("that never ends is refused", async () => {
    const { exitCode, stderr } = await runInMemory(["check", "/dev/zero"]);
    expect([exitCode, stderr.includes("[FILE_TOO_LARGE]")]).toEqual([2, true]);
  });

  test("is not in an empty directory", async () => {
    const { exitCode, stderr } = await runInMemory(["check", folderOf({})]);
    expect([exitCode, stderr.includes("[NO_FILES]")]).toEqual([2, true]);
  });
});

describe("the host", () => {
  const { topology } = exampleTopology();

  test("is the one that is named", () => {
    expect(resolveHost(topology, "cloudos2", { localAddresses: ["192.168.1.6"] })).toBe("cloudos2");
  });

  test("is the only one that owns an address of this machine", () => {
    expect(resolveHost(topology, undefined, { localAddresses: ["127.0.0.1", "192.168.1.7"] })).toBe("cloudos2");
  });

  test.for([
    ["none does", ["127.0.0.1"]],
    ["several do", ["192.168.1.6", "192.168.1.7"]],
  ] as const)("must be named where %s", ([, localAddresses]) => {
    expect(() => resolveHost(topology, undefined, { localAddresses })).toThrow(/--host/);
  });
});
