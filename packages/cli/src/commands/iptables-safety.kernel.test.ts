import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { saveRules, topologyText } from "../testing/host-with-rules.ts";
import { ProxyHost } from "../testing/proxy-host.ts";

/** Kubernetes objects, whose rules are Kubernetes' own where nothing else is said. */
const OBJECTS = fileURLToPath(new URL("../../../host/src/testing/flows/scenarios/objects.yaml", import.meta.url));

const reason = whyNoKernelTests(["ip", "iptables-nft", "ip6tables-nft", "conntrack"]);

describe.skipIf(reason !== undefined)(
  `what svcproxy iptables keeps people from${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    let folder = "";
    let dual = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-safety-"));
      dual = join(folder, "dual.yaml");
      await writeFile(dual, topologyText());
    });
    afterAll(() => rm(folder, { recursive: true }));

    describe("the dialect and dispatch of the rules that are here", () => {
      const onOne = (command: string, ...flags: readonly string[]) => [
        "iptables",
        command,
        dual,
        "--host",
        "one",
        "--foreign-host",
        ...flags,
      ];

      test("hold for diff and apply without flags, and for cleanup", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await runCli(namespace, onOne("apply", "--dialect", "kubernetes", "--dispatch", "tree"));
        const applied = await saveRules(namespace, "nft");
        expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0, stdout: "" });
        const again = await runCli(namespace, onOne("apply"));
        expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^nothing to change/) });
        expect(again.stderr).toMatch(/kubernetes dialect, and stay so: --dialect changes it/);
        expect(await saveRules(namespace, "nft")).toBe(applied);
        await runCli(namespace, ["iptables", "cleanup"]);
        expect(await saveRules(namespace, "nft")).toBe("");
      });

      test("hold for prove --live, where the input would have others", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const prove = ["prove", OBJECTS, "--host", "edge", "--live", "--foreign-host"];
        await runCli(namespace, [
          "iptables",
          "apply",
          OBJECTS,
          "--host",
          "edge",
          "--foreign-host",
          "--dialect",
          "document",
        ]);
        expect((await runCli(namespace, [...prove, "--dialect", "kubernetes"])).exitCode).toBe(3);
        expect(await runCli(namespace, prove)).toMatchObject({
          exitCode: 0,
          stdout: expect.stringMatching(/^by design {2}NodePorts match on 127\.0\.0\.0\/8/m),
        });
      });

      test("change by flags, and then the new ones hold", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await runCli(namespace, onOne("apply", "--dialect", "kubernetes"));
        expect(await runCli(namespace, onOne("apply", "--dialect", "document"))).toMatchObject({
          stdout: expect.stringMatching(/^done/),
        });
        expect(await saveRules(namespace, "nft")).not.toMatch(/KUBE-EXTERNAL-SERVICES/);
        expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0 });
        expect(await runCli(namespace, onOne("apply"))).toMatchObject({ stdout: expect.stringMatching(/^nothing/) });
      });
    });

    describe("a host that is not this machine", () => {
      test.for([
        ...["iptables", "nftables"].flatMap((path) =>
          ["apply", "diff"].map((command) => ({ command: [path, command] })),
        ),
        { command: ["userspace"] },
        { command: ["prove", "--live"] },
        { command: ["trace", "--live", "--from", "10.5.75.2", "--to", "10.100.0.1:80"] },
      ])("is refused by $command, with the one that it is", async ({ command }, { expect }) => {
        await using namespace = await createNetworkNamespace();
        await namespace.run("ip", ["address", "add", "192.0.2.7/32", "dev", "lo"]);
        const text = `${topologyText()}`.replace("services:", "  - { name: two, address: 192.0.2.7 }\nservices:");
        const result = await runCli(namespace, [...command, "-", "--host", "one"], { input: text });
        expect(result.exitCode).toBe(2);
        expect(result.stderr).toMatch(/Host "one" is not this machine, which is host "two".*\[FOREIGN_HOST\]/);
        expect(result.stderr).toMatch(/--foreign-host/);
        expect(await saveRules(namespace, "nft")).toBe("");
      });

      test("is taken with the flag, and where one of its addresses is here, be it on another device", async ({
        expect,
      }) => {
        await using namespace = await createNetworkNamespace();
        const diff = ["iptables", "diff", dual, "--host", "one"];
        const prove = ["prove", dual, "--host", "one", "--live"];
        expect((await runCli(namespace, [...diff, "--foreign-host"])).exitCode).toBe(3);
        expect((await runCli(namespace, [...prove, "--foreign-host"])).stdout).toMatch(/Every frontend/);
        await namespace.run("ip", ["address", "add", "2001:db8::6/128", "dev", "lo"]);
        expect((await runCli(namespace, diff)).exitCode).toBe(3);
        expect((await runCli(namespace, prove)).stdout).toMatch(/Every frontend/);
      });
    });

    test.for(["iptables apply", "nftables apply", "check"])(
      "an endpoint on this host that another program's DNAT alone serves is said by %s",
      async (command, { expect }) => {
        await using namespace = await createNetworkNamespace();
        await namespace.run("ip", ["link", "set", "lo", "up"]);
        await namespace.run("ip", ["address", "add", "192.0.2.7/32", "dev", "lo"]);
        const published = ["-p", "tcp", "--dport", "8088", "-j", "DNAT", "--to", "192.0.2.7:8080"];
        for (const chain of ["PREROUTING", "OUTPUT"])
          await namespace.run("iptables-nft", ["-t", "nat", "-A", chain, ...published]);
        const input = `
hosts: [{ name: one, address: 192.0.2.7 }]
services: [{ name: web, clusterIP: 10.50.0.1, ports: [{ port: 80 }], endpoints: ["192.0.2.7:8088"] }]
`;
        const { stderr } = await runCli(namespace, [...command.split(" "), "-", "--host", "one"], { input });
        expect(stderr).toContain("FOREIGN_DNAT_UNMET");
        expect(stderr).toContain("192.0.2.7:8088 of default/web is translated to 192.0.2.7:8080");
      },
    );

    describe("a NodePort that a program of this host listens on", () => {
      const CASE = `
hosts: [{ name: a, address: 10.0.0.1 }]
services:
  - { name: y, clusterIP: 10.50.0.1, ports: [{ port: 80, nodePort: 22 }], endpoints: ["10.0.0.2:80"] }
  - { name: z, clusterIP: 10.50.0.2, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["10.0.0.2:80"] }
`;

      /** What tells that rules serve a NodePort, and the ClusterIP. */
      const DATA_PATHS = [
        {
          dataPath: "iptables",
          read: (namespace: NetworkNamespace) => saveRules(namespace, "nft"),
          nodePort: (port: number) => new RegExp(`--dport ${port} `),
          clusterIP: /-d 10\.50\.0\.1\/32 /,
        },
        {
          dataPath: "nftables",
          read: async (namespace: NetworkNamespace) => (await namespace.run("nft", ["-s", "list", "ruleset"])).stdout,
          nodePort: (port: number) => new RegExp(`tcp \\. ${port} `),
          clusterIP: /10\.50\.0\.1 \. tcp \. 80 /,
        },
      ];

      test.for(DATA_PATHS)(
        "$dataPath leaves it out and names it, applies the rest, and exit code 1 says so; --take-port takes it",
        async ({ dataPath, read, nodePort, clusterIP }, { expect }) => {
          await using host = await ProxyHost.create();
          const { namespace } = host;
          await namespace.run("ip", ["address", "add", "10.0.0.1/32", "dev", "lo"]);
          host.startScript(
            'process.title = "sshd"; (await import("node:net")).createServer().listen(22, "0.0.0.0"); setTimeout(() => process.exit(), 120_000);',
          );
          await expect.poll(() => listensOn(namespace, 22)).toBe(true);
          const run = (command: string, ...flags: readonly string[]) =>
            runCli(namespace, [dataPath, command, "-", "--host", "a", ...flags], { input: CASE });
          const applied = await run("apply");
          expect(applied).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^done/) });
          expect(applied.stderr).toMatch(
            /NodePort 22\/tcp of default\/y is left out, because sshd \(pid \d+\) listens/,
          );
          expect(applied.stderr).toMatch(/--take-port 22/);
          const rules = await read(namespace);
          expect(rules).toMatch(nodePort(30_080));
          expect(rules).toMatch(clusterIP);
          expect(rules).not.toMatch(nodePort(22));
          expect(await run("diff")).toMatchObject({
            ...{ exitCode: 0, stdout: "" },
            stderr: expect.stringMatching(/NodePort 22\/tcp of default\/y is left out/),
          });
          expect(JSON.parse((await run("apply", "--json")).stdout)).toMatchObject({
            changed: false,
            problems: expect.arrayContaining([
              expect.objectContaining({ code: "NODE_PORT_TAKEN", subject: "NodePort 22/tcp of default/y" }),
            ]),
          });
          expect(await run("apply", "--take-port", "22")).toMatchObject({ exitCode: 0 });
          expect(await read(namespace)).toMatch(nodePort(22));
          // What an earlier version took is given back.
          expect(await run("apply")).toMatchObject({ exitCode: 1 });
          expect(await read(namespace)).not.toMatch(nodePort(22));
        },
      );

      test("is warned of by check where it is below 1024", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const { exitCode, stdout, stderr } = await runCli(namespace, ["check", "-"], { input: CASE });
        expect(exitCode).toBe(0);
        expect(stdout + stderr).toMatch(/NodePort 22 is below 1024.*\[LOW_NODE_PORT\]/);
        expect(stdout + stderr).not.toMatch(/NodePort 30080 is below/);
      });
    });

    describe("rules that were printed and typed", () => {
      const onOne = (command: readonly string[], ...flags: readonly string[]) => [
        ...command,
        dual,
        "--host",
        "one",
        ...flags,
      ];
      const APPLY = ["iptables", "apply"];
      const CLEANUP = ["iptables", "cleanup"];

      /** As the README's first command does it. */
      async function typeRules(namespace: NetworkNamespace, flags: readonly string[] = []): Promise<string> {
        const { stdout } = await runCli(namespace, onOne(["iptables"], ...flags));
        await namespace.run("sh", ["-e"], { input: stdout });
        return saveRules(namespace, "nft");
      }

      test("stay at a cleanup without a topology, which counts them and says who takes them", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const typed = await typeRules(namespace);
        const { exitCode, stdout, stderr } = await runCli(namespace, CLEANUP);
        expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "nothing to remove: no rule here is ours\n" });
        const count = typed.match(/^-A /gm)?.length ?? 0;
        // The document's last rule leads to no chain of ours.
        expect(stderr).toMatch(
          new RegExp(`${count - 2} rules of iptables-nft look like ours.*cleanup TOPOLOGY --host`),
        );
        expect(await saveRules(namespace, "nft")).toBe(typed);
      });

      test("that a kube-proxy keeps are not called ours by a cleanup", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await typeRules(namespace, ["--dialect", "kubernetes"]);
        for (const table of ["nat", "filter", "mangle"]) {
          await namespace.run("iptables", ["-t", table, "-N", "KUBE-PROXY-CANARY"]);
          await namespace.run("ip6tables", ["-t", table, "-N", "KUBE-PROXY-CANARY"]);
        }
        const { exitCode, stdout, stderr } = await runCli(namespace, CLEANUP);
        expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "nothing to remove: no rule here is ours\n" });
        expect(stderr).not.toMatch(/look like ours/);
      });

      test.for(["document", "kubernetes"])(
        "are removed by one that names it, in the %s dialect",
        async (dialect, { expect }) => {
          await using namespace = await createNetworkNamespace();
          await namespace.run("iptables-nft", [
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
          const before = await saveRules(namespace, "nft");
          const typed = await typeRules(namespace, ["--dialect", dialect]);
          const cleanup = onOne(CLEANUP, "--foreign-host", "--dialect", dialect);
          const preview = await runCli(namespace, [...cleanup, "--dry-run"]);
          expect(preview.stdout).toMatch(/^-X KUBE-SERVICES$/m);
          expect(await saveRules(namespace, "nft")).toBe(typed);
          expect(await runCli(namespace, cleanup)).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^done/),
          });
          expect(await saveRules(namespace, "nft")).toBe(before);
        },
      );

      test("are left alone by one that names a topology which they do not equal", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const typed = await typeRules(namespace);
        const other = join(folder, "other.yaml");
        await writeFile(other, topologyText({ udp: ["a"] }));
        const { exitCode, stderr } = await runCli(namespace, [...CLEANUP, other, "--host", "one", "--foreign-host"]);
        expect(exitCode).toBe(1);
        // The way out is one that there is: a clean-up has no --adopt.
        expect(stderr).toMatch(/\[FOREIGN_CHAINS\].*iptables apply TOPOLOGY --host NAME --adopt/s);
        expect(await saveRules(namespace, "nft")).toBe(typed);
      });

      test("are kept by apply, and removed by any cleanup then", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await typeRules(namespace);
        expect((await runCli(namespace, onOne(APPLY, "--foreign-host"))).exitCode).toBe(0);
        expect((await runCli(namespace, CLEANUP)).exitCode).toBe(0);
        expect(await saveRules(namespace, "nft")).toBe("");
      });

      test("are a difference from a topology without services", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await typeRules(namespace);
        const empty = join(folder, "empty.yaml");
        await writeFile(empty, "hosts: [{ name: one, address: 192.0.2.6 }]\nservices: []\n");
        const on = [empty, "--host", "one", "--foreign-host"];
        const diff = await runCli(namespace, ["iptables", "diff", ...on]);
        expect(diff).toMatchObject({ exitCode: 3, stdout: expect.stringMatching(/nat KUBE-SERVICES @@/) });
        expect(diff.stderr).not.toMatch(/no difference/);
        const applied = await runCli(namespace, [...APPLY, ...on]);
        expect(applied.stderr).toMatch(/look like ours, and nothing says that svcproxy applied them/);
      });
    });

    describe("what defeats the plan", () => {
      const HOST = `
hosts:
  - name: alpha
    address: 10.0.0.1
    podCIDR: 10.5.75.0/24
    pods: [{ name: p, address: "10.5.75.2:8080" }]
  - { name: beta, address: 10.0.0.2, podCIDR: 10.5.88.0/24, pods: [{ name: q, address: "10.5.88.2:8080" }] }
services:
  - name: web
    clusterIP: 10.50.0.1
    externalIPs: [203.0.113.9]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [p, q]
`;

      /** Host alpha: its pods behind a bridge, beta by its LAN, and the way out. */
      async function createHost(): Promise<NetworkNamespace> {
        const namespace = await createNetworkNamespace();
        await namespace.run("sh", ["-e"], {
          input: `
            sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
            ip link add lan0 type veth peer name lan1
            ip link set lan0 up
            ip link set lan1 up
            ip address add 10.0.0.1/24 dev lan0
            ip route add default via 10.0.0.254
            ip route add 10.5.88.0/24 via 10.0.0.2
            ip link add cni0 type bridge
            ip address add 10.5.75.1/24 dev cni0
            ip link set cni0 up`,
        });
        return namespace;
      }

      const apply = (namespace: NetworkNamespace, ...flags: readonly string[]) =>
        runCli(namespace, ["iptables", "apply", "-", "--host", "alpha", ...flags], { input: HOST });

      test("is nothing on a host of its own", async ({ expect }) => {
        await using namespace = await createHost();
        const { exitCode, stderr } = await apply(namespace);
        expect(exitCode).toBe(0);
        expect(stderr).not.toMatch(/are dropped|are refused|sent elsewhere/);
      });

      test("is a FORWARD policy DROP, as Docker sets it: said at once, and what is said helps", async ({ expect }) => {
        await using namespace = await createHost();
        await namespace.run("iptables-nft", ["-P", "FORWARD", "DROP"]);
        const { exitCode, stderr } = await apply(namespace);
        expect(exitCode).toBe(0);
        expect(stderr).toMatch(
          /dropped \(the policy of filter FORWARD is DROP\): .*from outside to the NodePort of default\/web/,
        );
        expect(stderr).toMatch(/iptables-nft -I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT/);
        await namespace.run("iptables-nft", "-I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT".split(" "));
        expect((await apply(namespace)).stderr).not.toMatch(/are dropped/);
      });

      test("is helped by the other dialect where pods are not between it, which is said too", async ({ expect }) => {
        await using namespace = await createHost();
        await namespace.run("iptables-nft", ["-P", "FORWARD", "DROP"]);
        const input = HOST.replace(/, podCIDR.*\[\{ name: q.*\]/, "")
          .replace(/ {4}podCIDR.*\n {4}pods.*\n/, "")
          .replace("[p, q]", '["10.0.0.2:8080"]');
        const on = ["iptables", "apply", "-", "--host", "alpha"];
        expect((await runCli(namespace, on, { input })).stderr).toMatch(/Kubernetes' own rules.*--dialect kubernetes/);
        const helped = await runCli(namespace, [...on, "--dialect", "kubernetes"], { input });
        expect(helped.stderr).not.toMatch(/are dropped/);
      });

      test("is not there for NodePorts in the dialect that lets its own connections through", async ({ expect }) => {
        await using namespace = await createHost();
        await namespace.run("iptables-nft", ["-P", "FORWARD", "DROP"]);
        const { stderr } = await apply(namespace, "--dialect", "kubernetes");
        expect(stderr).not.toMatch(/from outside to the NodePort/);
      });

      test("is another program's rule, in a table of nftables too", async ({ expect }) => {
        await using namespace = await createHost();
        await namespace.run("nft", ["-f", "-"], {
          input: "table inet fw {\nchain f {\ntype filter hook forward priority 0\nip daddr 10.5.88.0/24 drop\n}\n}\n",
        });
        expect((await apply(namespace)).stderr).toMatch(/are dropped \(.*inet fw/);
      });

      describe("by nftables", () => {
        const applyTables = (namespace: NetworkNamespace, ...flags: readonly string[]) =>
          runCli(namespace, ["nftables", "apply", "-", "--host", "alpha", ...flags], { input: HOST });
        const LET_THROUGH = "-I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT";

        test.for([
          { name: "nothing on a host of its own", script: "", says: undefined },
          {
            name: "nothing where others' rules let connections through",
            script: `iptables-nft -P FORWARD DROP; iptables-nft ${LET_THROUGH}; iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT`,
            says: undefined,
          },
          {
            name: "a rule of iptables that refuses what is forwarded",
            script: "iptables-nft -A FORWARD -d 10.5.88.0/24 -j REJECT",
            says: /refused \(rule 1 of filter \(nft\) FORWARD.*from a pod to the ClusterIP.*iptables-nft -I FORWARD 1 /,
            helps: `iptables-nft ${LET_THROUGH}`,
          },
          {
            name: "a rule of the older iptables",
            script: "iptables-legacy -A FORWARD -d 10.5.88.0/24 -j DROP",
            says: /dropped \(rule 1 of filter FORWARD.*iptables-legacy -I FORWARD 1 /,
            helps: `iptables-legacy ${LET_THROUGH}`,
          },
          {
            name: "a rule before all others",
            script: "iptables-nft -t raw -A PREROUTING -p tcp --dport 30080 -j DROP",
            says: /dropped \(rule 1 of raw \(nft\) PREROUTING\): .*to the NodePort/,
          },
          {
            name: "a chain of nftables that drops what this host sends",
            script: "nft 'add table inet fw; add chain inet fw o { type filter hook output priority 0; policy drop; }'",
            says: /dropped \(.*inet fw o.*from this host to the ClusterIP/,
          },
          {
            name: "a policy of nftables that drops what is forwarded",
            script:
              "nft 'add table inet fw; add chain inet fw f { type filter hook forward priority 0; policy drop; }'",
            says: /inet fw f drops what is forwarded .*nft insert rule inet fw f ct status dnat accept/,
            helps: "nft insert rule inet fw f ct status dnat accept",
          },
        ])("$name", async ({ script, says, helps }, { expect }) => {
          await using namespace = await createHost();
          if (script !== "") await namespace.run("sh", ["-e"], { input: script });
          const { exitCode, stderr } = await applyTables(namespace);
          expect(exitCode).toBe(0);
          if (says === undefined) expect(stderr).toBe("");
          else expect(stderr).toMatch(says);
          if (helps === undefined) return;
          await namespace.run("sh", ["-e"], { input: helps });
          expect((await applyTables(namespace)).stderr).toBe("");
        });

        test("our own rules of iptables, unless they are to go", async ({ expect }) => {
          await using namespace = await createHost();
          await apply(namespace, "--variant", "legacy");
          expect((await applyTables(namespace)).stderr).toMatch(
            /Rules of ours are in iptables-legacy too.*--replace iptables takes them away/,
          );
          expect((await applyTables(namespace, "--replace", "iptables")).stderr).not.toMatch(/Rules of ours/);
          expect((await applyTables(namespace)).stderr).toBe("");
        });
      });

      test("is another program's DNAT that is asked first", async ({ expect }) => {
        await using namespace = await createHost();
        await namespace.run("nft", ["-f", "-"], {
          input:
            "table ip theirs {\nchain p {\ntype nat hook prerouting priority -150\ntcp dport 30080 dnat to 10.0.0.77:80\n}\n}\n",
        });
        expect((await apply(namespace)).stderr).toMatch(
          /sent elsewhere by another program.*from outside to the NodePort/,
        );
      });
    });
  },
);

async function listensOn(namespace: NetworkNamespace, port: number): Promise<boolean> {
  const { stdout } = await namespace.run("cat", ["/proc/net/tcp"]);
  return stdout.includes(`:${port.toString(16).padStart(4, "0").toUpperCase()} 00000000:0000 0A`);
}
