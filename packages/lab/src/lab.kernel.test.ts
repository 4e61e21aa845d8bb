import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { exampleTopology, parseTopology } from "@svcproxy/topology";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNoKernelTests } from "./kernel-support.ts";
import { childrenOf, startTimeOf } from "./processes.ts";
import { readLabStatus } from "./read-lab-status.ts";
import { startInBackground } from "./start-in-background.ts";
import { type StartedLab, type StartLabOptions, startLab } from "./start-lab.ts";

const reason = whyNoKernelTests(["ip", "bridge", "unshare", "nsenter", "curl", "tcpdump", "setcap"]);

/** A source address and what stands around it. */
const PORT = /:\d+$/m;

async function up(options: StartLabOptions = {}): Promise<StartedLab> {
  return startLab(exampleTopology().topology, options);
}

async function curl({ lab }: StartedLab, place: string, url: string): Promise<string> {
  const { stdout } = await lab.run(place, ["curl", "-s", "-m", "5", url]);
  return stdout.trim().replace(PORT, "");
}

describe.skipIf(reason !== undefined)(`a lab${reason === undefined ? "" : ` (${reason})`}`, () => {
  describe("of the document's hosts", () => {
    let started: StartedLab;
    beforeAll(async () => {
      started = await up();
    });
    afterAll(async () => {
      await started[Symbol.asyncDispose]();
    });

    test.for([
      { from: "os1_my1", url: "10.5.75.3:3000", answer: "os1_my2 10.5.75.2", what: "a pod reaches one on its host" },
      {
        from: "os1_my1",
        url: "10.5.88.2:3000",
        answer: "os2_my1 10.5.75.2",
        what: "a pod reaches one on the other host",
      },
      { from: "cloudos1", url: "10.5.75.2:3000", answer: "os1_my1 10.5.75.1", what: "a host reaches its own pod" },
      { from: "cloudos1", url: "10.5.88.2:3000", answer: "os2_my1 10.5.75.0", what: "a host reaches the other's pod" },
      { from: "client", url: "10.5.75.2:3000", answer: "os1_my1 192.168.1.254", what: "the client reaches a pod" },
    ])("$what", async ({ from, url, answer }) => {
      expect(await curl(started, from, url)).toBe(answer);
    });

    test("a server echoes what is not HTTP, by TCP and by UDP", async () => {
      const program = `
        const net = require("node:net"), dgram = require("node:dgram");
        const socket = net.connect(3000, "10.5.88.2", () => socket.end("raw\\n"));
        socket.pipe(process.stdout).on("unpipe", () => {});
        socket.on("close", () => {
          const udp = dgram.createSocket("udp4");
          udp.on("message", (datagram) => { process.stdout.write(datagram); udp.close(); });
          udp.send("datagram\\n", 3000, "10.5.88.2");
        });`;
      const { stdout } = await started.lab.run("os1_my1", [process.execPath, "-e", program]);
      expect(stdout.replaceAll(/:\d+$/gm, "")).toBe("os2_my1 10.5.75.2\nraw\nos2_my1 10.5.75.2\ndatagram\n");
    });

    test("exit code, both outputs and input are the command's own", async () => {
      const result = await started.lab.run("cloudos2", ["sh", "-c", "cat; echo two >&2; exit 7"], { input: "one" });
      expect(result).toEqual({ exitCode: 7, stdout: "one", stderr: "two\n" });
    });

    test("a host has its own name and its own /run", async () => {
      await started.lab.run("cloudos1", ["sh", "-c", "echo 1 >/run/mark"]);
      const { stdout } = await started.lab.run("cloudos2", ["sh", "-c", "hostname; ls /run/mark 2>&1 | head -c 3"]);
      expect(stdout).toBe("cloudos2\nls:");
    });

    test("sysctls are set, and not the machine's", async () => {
      const files = ["ipv4/conf/eth0/rp_filter", "ipv4/ip_forward", "bridge/bridge-nf-call-iptables"];
      const read = ["sh", "-c", `cd /proc/sys/net; cat ${files.join(" ")} ipv4/conf/cni0/rp_filter`];
      expect((await started.lab.run("cloudos1", read)).stdout).toBe("1\n1\n1\n1\n");
    });

    test("the status has every listener and the routes between the hosts", async () => {
      const places = await readLabStatus(started.lab);
      const of = (wanted: string) => places.find(({ name }) => name === wanted);
      expect(of("os1_my1")?.listeners).toEqual(["tcp 10.5.75.2:3000", "udp 10.5.75.2:3000"]);
      expect(of("cloudos1")?.routes).toContain("10.5.88.0/24 via 10.5.88.0 dev flannel.1 onlink");
    });

    test("an unknown place is refused with those that there are", async () => {
      await expect(started.lab.run("cloudos3", ["true"])).rejects.toMatchObject({
        code: "UNKNOWN_PLACE",
        hint: expect.stringContaining("cloudos1, cloudos2, os1_my1"),
      });
    });

    test("two labs with the same addresses do not see each other", async () => {
      await using other = await up({ overlay: "host-gw" });
      await other.lab.run("os1_my1", ["ip", "link", "set", "eth0", "down"]);
      expect(await curl(started, "os2_my1", "10.5.75.2:3000")).toBe("os1_my1 10.5.88.2");
      expect(await curl(other, "os1_my2", "10.5.88.2:3000")).toBe("os2_my1 10.5.75.3");
    });

    test("a command that runs in the background is there until it is ended, and says why it does not start", async () => {
      const background = { place: "cloudos1", log: "/run/log", readyText: "here we go" };
      const pid = await startInBackground(started.lab, {
        ...background,
        command: ["sh", "-c", "echo here we go; cat /dev/zero | sleep 99"],
      });
      expect((await started.lab.run("cloudos1", ["kill", "-0", String(pid)])).exitCode).toBe(0);
      await expect(
        startInBackground(started.lab, { ...background, command: ["sh", "-c", "echo no way; exit 1"] }),
      ).rejects.toThrow("no way");
    });

    test("the machine keeps its own network", async () => {
      const { stdout } = spawn("ip", ["-o", "link"], { stdio: ["ignore", "pipe", "ignore"] });
      expect(await text(stdout)).not.toMatch(/cni0|flannel/);
    });
  });

  describe("when it ends", () => {
    test.for([
      { what: "its first process", victim: ({ lab }: StartedLab) => lab.process.pid },
      { what: "the process that started it for us", victim: ({ lab }: StartedLab) => parentOf(lab.process.pid) },
    ])("by kill -9 of $what, everything in it ends", async ({ victim }) => {
      await using started = await up();
      const { pid } = started.lab.process;
      const holders = childrenOf(pid);
      expect(holders.length).toBe(2);
      const running = expect(started.lab.run("os1_my1", ["sleep", "300"])).rejects.toMatchObject({
        code: "TOOL_FAILED",
        message: expect.stringContaining("sleep in os1_my1 was ended by SIGKILL"),
      });
      await vanishesNot(pid);
      process.kill(victim(started), "SIGKILL");
      await running;
      await started.ended;
      await expect.poll(() => [pid, ...holders].map(startTimeOf)).toEqual([undefined, undefined, undefined]);
      await expect(started.lab.run("client", ["true"])).rejects.toMatchObject({ code: "LAB_GONE" });
    });

    test("it ends with the process that it is attached to, kill -9 included", async () => {
      const program = `
        import { exampleTopology } from "@svcproxy/topology";
        import { startLab } from "${resolve(import.meta.dirname, "start-lab.ts")}";
        const { lab } = await startLab(exampleTopology().topology);
        console.log(lab.process.pid);
        setInterval(() => {}, 1000);`;
      const owner = spawn(process.execPath, ["--input-type=module", "-e", program], {
        cwd: import.meta.dirname,
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [line] = await once(owner.stdout, "data");
      const pid = Number(String(line));
      expect(startTimeOf(pid)).toBeDefined();
      owner.kill("SIGKILL");
      await expect.poll(() => startTimeOf(pid)).toBeUndefined();
    });

    test("a detached one stays until it is taken down", async () => {
      const { lab } = await up({ detached: true });
      expect((await lab.run("client", ["true"])).exitCode).toBe(0);
      await lab.down();
      expect(startTimeOf(lab.process.pid)).toBeUndefined();
    });
  });

  test("without root it has all capabilities in its own networks, and tcpdump runs", async () => {
    const program = `
      import { exampleTopology } from "@svcproxy/topology";
      import { startLab } from "${resolve(import.meta.dirname, "start-lab.ts")}";
      await using started = await startLab(exampleTopology().topology);
      const capture = "said=$(mktemp); tcpdump -n -c 1 -i flannel.1 tcp 2>$said & until grep -q listening $said; do sleep 0.05; done; rm $said; curl -s 10.5.88.2:3000; wait";
      const { stdout } = await started.lab.run("cloudos1", ["sh", "-c", "id -u; " + capture]);
      process.stdout.write(stdout);`;
    const command = ["--reuid", "65534", "--regid", "65534", "--clear-groups", process.execPath];
    const child = spawn("setpriv", [...command, "--input-type=module", "-e", program], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect(stdout, stderr).toMatch(/^65534\n/);
    expect(stdout).toMatch(/^os2_my1 10\.5\.75\.0:\d+$/m);
    expect(stdout).toMatch(/10\.5\.75\.0\.\d+ > 10\.5\.88\.2\.3000: Flags \[S\]/);
  });

  test.for(["vxlan", "host-gw"] as const)(
    "carries IPv6, pods outside of their CIDR and strangers over %s",
    async (overlay) => {
      const file = {
        hosts: [
          {
            name: "a",
            addresses: ["10.0.0.6", "2001:db8:1::6"],
            podCIDRs: ["10.5.75.0/24", "fd00:5:75::/64"],
            pods: [
              { name: "p", addresses: ["10.5.75.2:80", "[fd00:5:75::2]:80"] },
              { name: "off", address: "10.77.0.9:80" },
            ],
          },
          {
            name: "b",
            addresses: ["10.99.3.7", "2001:db8:1::7"],
            podCIDRs: ["10.5.88.0/24", "fd00:5:88::/64"],
            pods: [{ name: "q", addresses: ["10.5.88.2:80", "[fd00:5:88::2]:80"] }],
          },
        ],
        services: [{ name: "s", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["203.0.113.50:80"] }],
      };
      const { topology } = parseTopology(Buffer.from(JSON.stringify(file)), { file: "test.json" });
      await using started = await startLab(topology, { overlay });
      expect(await curl(started, "p", "[fd00:5:88::2]:80")).toBe("q [fd00:5:75::2]");
      expect(await curl(started, "q", "10.77.0.9:80")).toBe("off 10.5.88.2");
      expect(await curl(started, "off", "10.5.88.2:80")).toBe("q 10.77.0.9");
      expect(await curl(started, "p", "203.0.113.50:80")).toBe("203.0.113.50 10.5.75.2");
      expect(await curl(started, "client", "10.5.88.2:80")).toMatch(/^q /);
    },
  );

  test("a Node without node:ffi has each pod's sockets opened by a process there", async () => {
    const main = resolve(import.meta.dirname, "inside/main.ts");
    await using started = await up({ insideProgram: [process.execPath, "--no-experimental-ffi", main] });
    expect(await curl(started, "client", "10.5.88.3:3000")).toBe("os2_my2 192.168.1.254");
  });

  test("says which line the kernel refused", async () => {
    const { topology } = exampleTopology();
    const twice = {
      ...topology,
      hosts: topology.hosts.map((host) => ({ ...host, podCIDRs: [...host.podCIDRs, ...host.podCIDRs] })),
    };
    await expect(startLab(twice)).rejects.toThrow(
      expect.objectContaining({
        code: "LAB_FAILED",
        message: expect.stringMatching(/"addr add 10\.5\.\d+\.1\/24 dev cni0" was refused: ./),
      }),
    );
  });
});

function parentOf(pid: number): number {
  const found = childrenOf(process.pid).find((candidate) => childrenOf(candidate).includes(pid));
  if (found === undefined) throw new Error("the lab has no parent");
  return found;
}

/** Gives a command that was just started the time to run. */
async function vanishesNot(pid: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(startTimeOf(pid)).toBeDefined();
}
