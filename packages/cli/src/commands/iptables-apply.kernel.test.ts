import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test } from "vitest";
import { runCli, startCli } from "../testing/cli-in-namespace.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/cloudos.yaml", import.meta.url));
const DOCUMENT_COMMANDS = fileURLToPath(
  new URL("../../../iptables/golden/cloudos/document-cloudos1.txt", import.meta.url),
);

const reason = whyNoKernelTests([
  "ip",
  "iptables-nft",
  "iptables-legacy",
  "ip6tables-nft",
  "ip6tables-legacy",
  "conntrack",
]);

/** One host with a service in both families; `udp` are the pods that serve it over UDP. */
function topologyText({
  address = "192.0.2.6",
  udp = ["a", "b"],
}: {
  address?: string;
  udp?: readonly string[];
} = {}): string {
  return `
hosts:
  - name: one
    addresses: ["${address}", "2001:db8::6"]
    podCIDRs: [10.5.75.0/24, "fd00:5::/64"]
    pods:
      - { name: a, addresses: ["10.5.75.2:3000", "[fd00:5::2]:3000"] }
      - { name: b, addresses: ["10.5.75.3:3000", "[fd00:5::3]:3000"] }
services:
  - name: web
    clusterIPs: [10.100.0.1, "fd00:9::1"]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [a, b]
  - name: dns
    clusterIPs: [10.100.0.2, "fd00:9::2"]
    ports: [{ port: 53, protocol: UDP, nodePort: 30053 }]
    endpoints: [${udp.join(", ")}]
`;
}

async function save(namespace: NetworkNamespace, variant: string): Promise<string> {
  const dumps = await Promise.all(
    ["iptables", "ip6tables"].map((tool) => namespace.run(`${tool}-${variant}-save`, [])),
  );
  const text = dumps.map(({ stdout }) => stdout).join("");
  const tables = text
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/ \[\d+:\d+\]$/gm, "")
    .split(/(?<=^COMMIT\n)/m);
  return tables.filter((table) => /^(-A |:\S+ -$)/m.test(table)).join("");
}

describe.skipIf(reason !== undefined)(
  `svcproxy iptables apply, diff, cleanup${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 120_000 },
  () => {
    let folder = "";
    let dual = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-apply-"));
      // iptables-legacy's own lock is one for the whole machine, whatever the namespace.
      process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
      dual = join(folder, "dual.yaml");
      await writeFile(dual, topologyText());
    });
    afterAll(() => rm(folder, { recursive: true }));

    const withText = async (name: string, text: string) => {
      const file = join(folder, name);
      await writeFile(file, text);
      return file;
    };

    for (const variant of ["nft", "legacy"] as const) {
      describe(`with iptables-${variant}`, () => {
        const flags = ["--variant", variant];
        const onOne = (command: string, file: string) => ["iptables", command, file, "--host", "one", ...flags];

        test("applies once, finds nothing to do the second time, and cleans up to what was before", async ({
          expect,
        }) => {
          await using namespace = await createNetworkNamespace();
          await namespace.run(`iptables-${variant}`, [
            "-t",
            "nat",
            "-A",
            "OUTPUT",
            "-p",
            "tcp",
            "--dport",
            "1",
            "-j",
            "ACCEPT",
          ]);
          const before = await save(namespace, variant);
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 3 });
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^done: .*nat \(IPv4\).*nat \(IPv6\)/),
          });
          const applied = await save(namespace, variant);
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^nothing to change/),
          });
          expect(await save(namespace, variant)).toBe(applied);
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0, stdout: "" });
          expect(await runCli(namespace, ["iptables", "cleanup"])).toMatchObject({ exitCode: 0 });
          expect(await save(namespace, variant)).toBe(before);
        });

        test("counters of foreign rules and of our unchanged chains go on", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          await runCli(namespace, onOne("apply", dual));
          await namespace.run("sh", ["-e"], {
            input: `
            printf '*nat\\n[7:70] -A OUTPUT -p tcp --dport 1 -j ACCEPT\\nCOMMIT\\n' | iptables-${variant}-restore -c --noflush -w
            printf '*nat\\n:KUBE-MARK-MASQ - [0:0]\\n[5:50] -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0xffffffff\\nCOMMIT\\n' | iptables-${variant}-restore -c --noflush -w
            iptables-${variant} -w -t nat -F KUBE-NODEPORTS
            iptables-${variant} -w -t nat -D POSTROUTING -j KUBE-POSTROUTING
            iptables-${variant} -w -t nat -I POSTROUTING 1 -j KUBE-POSTROUTING`,
          });
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^done/),
          });
          const { stdout } = await namespace.run(`iptables-${variant}-save`, ["-c", "-t", "nat"]);
          expect(stdout).toMatch(/^\[7:70\] -A OUTPUT -p tcp -m tcp --dport 1 -j ACCEPT$/m);
          expect(stdout).toMatch(/^\[5:50\] -A KUBE-MARK-MASQ /m);
        });

        test("the document typed by hand is equal to the plan, and stays word for word", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          const commands = (await readFile(DOCUMENT_COMMANDS, "utf8")).replaceAll(
            /^iptables /gm,
            `iptables-${variant} -w `,
          );
          await namespace.run("sh", ["-e"], { input: commands });
          const typed = await save(namespace, variant);
          const onDocument = [EXAMPLE, "--host", "cloudos1", ...flags];
          expect(await runCli(namespace, ["iptables", "diff", ...onDocument])).toMatchObject({ exitCode: 0 });
          expect(await runCli(namespace, ["iptables", "apply", ...onDocument])).toMatchObject({ exitCode: 0 });
          expect((await save(namespace, variant)).replaceAll(/^:SVCPROXY-OWNS.*\n/gm, "")).toBe(typed);
        });

        test("several at once exclude each other", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          const moved = await withText(`moved-${variant}.yaml`, topologyText({ address: "192.0.2.7" }));
          const runs = await Promise.all(
            [dual, moved, dual, dual].map((file) => runCli(namespace, onOne("apply", file))),
          );
          expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0]);
          await runCli(namespace, onOne("apply", dual));
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0 });
          expect((await save(namespace, variant)).match(/^-A PREROUTING -j KUBE-SERVICES$/gm)).toHaveLength(2);
        });

        test("beside a program that changes rules in a loop, it ends with the plan in place", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          const stop = new AbortController();
          const meddler = namespace
            .run(
              "sh",
              [
                "-c",
                `while :; do iptables-${variant} -w -t nat -I PREROUTING 1 -p tcp --dport 9 -j REDIRECT --to-ports 8; iptables-${variant} -w -t nat -D PREROUTING 1; done`,
              ],
              { signal: stop.signal },
            )
            .catch(() => {});
          const small = await withText(`small-${variant}.yaml`, topologyText({ udp: [] }));
          for (const file of [dual, small, dual])
            expect(await runCli(namespace, onOne("apply", file))).toMatchObject({ exitCode: 0 });
          stop.abort();
          await meddler;
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0 });
        });

        test("after kill -9 at any moment, the next run mends what was left", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          const other = await withText(`other-${variant}.yaml`, topologyText({ address: "192.0.2.8", udp: [] }));
          let killed = 0;
          for (let round = 0; round < 16; round++) {
            const args = round % 6 === 5 ? ["iptables", "cleanup"] : onOne("apply", round % 2 === 0 ? dual : other);
            const { child, ended } = startCli(namespace, args);
            // From the start of Node to some time after a usual end.
            const timer = setTimeout(() => child.kill("SIGKILL"), 150 + 30 * round + Math.random() * 100);
            if ((await ended).exitCode === null) killed++;
            clearTimeout(timer);
          }
          expect(killed).toBeGreaterThan(0);
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({ exitCode: 0 });
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0, stdout: "" });
          const after = await save(namespace, variant);
          expect(after.match(/^-A PREROUTING -j KUBE-SERVICES$/gm)).toHaveLength(2);
          expect(after).not.toMatch(/192\.0\.2\.8/);
          await runCli(namespace, ["iptables", "cleanup"]);
          expect(await save(namespace, variant)).toBe("");
        });

        test("UDP flows of endpoints that are gone, and of a frontend's time without endpoints, are deleted", async ({
          expect,
        }) => {
          await using namespace = await createNetworkNamespace();
          const one = await withText(`udp-${variant}.yaml`, topologyText({ udp: ["b"] }));
          const none = await withText(`no-udp-${variant}.yaml`, topologyText({ udp: [] }));
          const flow = (client: string, service: string, endpoint: string, port = "53") => {
            const [at, back] = endpoint === "" ? [service, port] : [endpoint, "3000"];
            return `conntrack -I -p udp -t 300 -s ${client} -d ${service} --sport 1000 --dport ${port} -r ${at} -q ${client} --reply-port-src ${back} --reply-port-dst 1000`;
          };
          await runCli(namespace, onOne("apply", dual));
          await namespace.run("sh", ["-e"], {
            input: [
              "ip addr add 192.0.2.6/32 dev lo",
              flow("10.5.75.10", "10.100.0.2", "10.5.75.2"),
              flow("10.5.75.11", "10.100.0.2", "10.5.75.3"),
              flow("10.5.75.12", "192.0.2.6", "10.5.75.2", "30053"),
              flow("10.5.75.13", "192.0.2.99", "10.5.75.2", "30053"),
              flow("fd00:5::10", "fd00:9::2", "fd00:5::2"),
              flow("fd00:5::11", "fd00:9::2", "fd00:5::3"),
            ].join("\n"),
          });
          const flows = async () => {
            const dumps = await Promise.all(
              ["ipv4", "ipv6"].map((family) => namespace.run("conntrack", ["-L", "-p", "udp", "-f", family])),
            );
            return [
              ...dumps
                .map(({ stdout }) => stdout)
                .join("")
                .matchAll(/^udp .*? src=(\S+)/gm),
            ]
              .map(([, client]) => client)
              .sort();
          };
          expect(await runCli(namespace, onOne("apply", one))).toMatchObject({
            exitCode: 0,
            stderr: expect.stringContaining("deleted 3 UDP flows"),
          });
          expect(await flows()).toEqual(["10.5.75.11", "10.5.75.13", "fd00:5::11"]);
          await runCli(namespace, onOne("apply", none));
          expect(await flows()).toEqual(["10.5.75.13"]);
          await namespace.run("sh", ["-e"], { input: flow("10.5.75.14", "10.100.0.2", "") });
          await runCli(namespace, onOne("apply", one));
          expect(await flows()).toEqual(["10.5.75.13"]);
        });
      });
    }

    test("the variant is the one where rules live, and the log says why", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("iptables-legacy", ["-w", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
      const first = await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1"]);
      expect(first.stderr).toMatch(/using iptables-legacy: most rules live there/);
      await namespace.run("iptables-nft", ["-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
      const second = await runCli(namespace, ["iptables", "diff", EXAMPLE, "--host", "cloudos1"]);
      expect(second).toMatchObject({
        exitCode: 0,
        stderr: expect.stringMatching(/our rules already live there.*\n.*iptables-nft holds 1 rules too/),
      });
    });

    test("--family leaves the other family alone", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      expect(await runCli(namespace, ["iptables", "apply", dual, "--host", "one", "--family", "6"])).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/nat \(IPv6\)\n$/),
      });
      expect(await runCli(namespace, ["iptables", "diff", dual, "--host", "one", "--family", "6"])).toMatchObject({
        exitCode: 0,
      });
      expect(await runCli(namespace, ["iptables", "diff", dual, "--host", "one"])).toMatchObject({ exitCode: 3 });
    });

    test("a table of native nftables rules is named, and nothing changes; beside the plan it is no matter", async ({
      expect,
    }) => {
      await using namespace = await createNetworkNamespace();
      const native = (table: string) =>
        `add table ip ${table}\nadd chain ip ${table} OUTPUT { type ${table} hook output priority ${table === "nat" ? -100 : 0}; }\nadd rule ip ${table} OUTPUT meta mark set numgen random mod 3\n`;
      await namespace.run("nft", ["-f", "-"], { input: native("filter") });
      const apply = ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--variant", "nft"];
      expect(await runCli(namespace, apply)).toMatchObject({ exitCode: 0 });
      await runCli(namespace, ["iptables", "cleanup"]);
      await namespace.run("nft", ["-f", "-"], { input: `delete table ip nat\n${native("nat")}` });
      const before = await namespace.run("nft", ["list", "ruleset"]);
      expect(await runCli(namespace, apply)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("[TABLE_INCOMPATIBLE]"),
      });
      expect(await namespace.run("nft", ["list", "ruleset"])).toEqual(before);
    });

    test("cleanup finds ours in both variants", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      for (const variant of ["nft", "legacy"])
        await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--variant", variant]);
      expect(await runCli(namespace, ["iptables", "cleanup"])).toMatchObject({ exitCode: 0 });
      expect((await save(namespace, "nft")) + (await save(namespace, "legacy"))).toBe("");
    });

    test("--dry-run prints input for iptables-restore that does what apply does", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await using other = await createNetworkNamespace();
      const { stdout } = await runCli(namespace, [
        "iptables",
        "apply",
        EXAMPLE,
        "--host",
        "cloudos1",
        "--dry-run",
        "--variant",
        "nft",
      ]);
      expect(await save(namespace, "nft")).toBe("");
      await namespace.run("iptables-nft-restore", ["--noflush"], { input: stdout });
      await runCli(other, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--variant", "nft"]);
      expect(await save(namespace, "nft")).toBe(await save(other, "nft"));
    });

    test("a real kube-proxy's chains are refused by name, and adopted when asked", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("sh", ["-e"], {
        input:
          "iptables-nft -t nat -N KUBE-SERVICES\niptables-nft -t nat -N KUBE-SVC-TCOU7JCQXEZGVUNU\niptables-nft -t nat -A KUBE-SERVICES -j KUBE-SVC-TCOU7JCQXEZGVUNU\n",
      });
      const before = await save(namespace, "nft");
      const apply = ["iptables", "apply", EXAMPLE, "--host", "cloudos1"];
      expect(await runCli(namespace, apply)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/KUBE-SVC-TCOU7JCQXEZGVUNU.*--adopt/s),
      });
      expect(await save(namespace, "nft")).toBe(before);
      expect(await runCli(namespace, [...apply, "--adopt"])).toMatchObject({ exitCode: 0 });
      expect(await runCli(namespace, ["iptables", "diff", EXAMPLE, "--host", "cloudos1"])).toMatchObject({
        exitCode: 0,
      });
    });

    test("diff --json tells what differs", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1"]);
      await namespace.run("iptables", ["-t", "nat", "-D", "OUTPUT", "-j", "KUBE-SERVICES"]);
      const { exitCode, stdout } = await runCli(namespace, [
        "iptables",
        "diff",
        EXAMPLE,
        "--host",
        "cloudos1",
        "--json",
      ]);
      expect(exitCode).toBe(3);
      expect(JSON.parse(stdout)).toEqual({
        equal: false,
        variant: "nft",
        differences: [
          { family: 4, table: "nat", chain: "OUTPUT", kind: "missing-rule", plannedRule: "-A OUTPUT -j KUBE-SERVICES" },
        ],
      });
    });

    test("a bridge that bypasses netfilter is a warning with the sysctl that mends it", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("sh", ["-e"], {
        input:
          "ip link add br7 type bridge\nif [ -e /proc/sys/net/bridge ]; then echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi\n",
      });
      const result = await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1"]);
      expect(result).toMatchObject({
        exitCode: 0,
        stderr: expect.stringMatching(/Bridge br7 .*net\.bridge\.bridge-nf-call-iptables=1/),
      });
    });

    test.for([
      {
        name: "no root",
        below: ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"],
        path: process.env["PATH"] ?? "",
        said: /needs root.*\[NEEDS_ROOT\]/,
      },
      {
        name: "no iptables on the machine",
        below: [],
        path: "/nowhere",
        said: /Cannot find iptables on this machine \[MISSING_TOOL\]/,
      },
      {
        name: "a read-only /run, with iptables-legacy",
        below: ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /run && exec "$@"', "sh"],
        path: process.env["PATH"] ?? "",
        said: /read-only.*the host has its old rules.*\[LOCK_FILE_READ_ONLY\]/,
      },
    ])("$name: one clear sentence, exit 1", async ({ below, path, said }, { expect }) => {
      await using namespace = await createNetworkNamespace();
      const file = below[0] === "setpriv" ? ["-"] : [dual];
      const wrapped = ["env", "-u", "XTABLES_LOCKFILE", ...below, "env", `PATH=${path}`];
      const result = await runCli(
        namespace,
        ["iptables", "apply", ...file, "--host", "one", ...(path === "/nowhere" ? [] : ["--variant", "legacy"])],
        { below: wrapped, input: topologyText() },
      );
      expect(result).toMatchObject({ exitCode: 1, stdout: "" });
      const sentences = result.stderr.split("\n").filter((line) => line.startsWith("svcproxy: "));
      expect(sentences).toEqual([expect.stringMatching(said)]);
    });
  },
);
