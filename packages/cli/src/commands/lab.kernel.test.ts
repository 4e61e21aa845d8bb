import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";

const reason = whyNoKernelTests(["ip", "bridge", "unshare", "nsenter", "curl", "tcpdump", "iptables"]);
const NAME = `test-${process.pid}`;
/** A lab comes up in a second or two; on a busy machine in more. */
const PATIENCE_MS = 60_000;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [inject("program"), "lab", ...args], { stdio: ["pipe", "pipe", "pipe"] });
}

async function finish(child: ChildProcess, input = ""): Promise<Ended> {
  if (child.stdin === null || child.stdout === null || child.stderr === null) throw new Error("no pipes");
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code, stdout, stderr };
}

function lab(verb: string, ...args: readonly string[]): Promise<Ended> {
  return finish(start(verb, "--name", NAME, ...args));
}

describe.skipIf(reason !== undefined)(
  `svcproxy lab${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: PATIENCE_MS },
  () => {
    let announced: Ended;
    beforeAll(async () => {
      announced = await lab("up", "--detach");
    }, PATIENCE_MS);
    afterAll(async () => {
      await lab("down");
    }, PATIENCE_MS);

    test("says what is where and what to try", () => {
      expect(announced.code, announced.stderr).toBe(0);
      expect(announced.stdout).toMatch(/^lab test-\d+ is up: overlay vxlan, data path iptables/);
      expect(announced.stdout).toContain(`lab exec --name ${NAME} cloudos1 -- curl -s 10.100.100.1:7070`);
    });

    test("runs a command on a host, where the VIPs answer", async () => {
      const { stdout, code } = await lab("exec", "cloudos1", "--", "curl", "-s", "10.100.100.1:7070");
      expect(stdout).toMatch(/^(os1_my1 10\.5\.75\.1|os2_my1 10\.5\.75\.0):\d+\n$/);
      expect(code).toBe(0);
    });

    test("hands over stdin, and ends as the command ends", async () => {
      const ended = await finish(start("exec", "--name", NAME, "os1_my1", "--", "sh", "-c", "cat; exit 7"), "typed");
      expect(ended).toMatchObject({ stdout: "typed", code: 7 });
      expect((await lab("exec", "os1_my1", "--", "sh", "-c", "kill -9 $$")).code).toBe(137);
      expect((await lab("exec", "os1_my1", "--", "no-such-command")).code).toBe(127);
    });

    test("passes a signal on to the command, and waits for it", async () => {
      const child = start(
        "exec",
        "--name",
        NAME,
        "cloudos1",
        "--",
        "sh",
        "-c",
        "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.1; done",
      );
      if (child.stdout === null) throw new Error("no pipe");
      await once(child.stdout, "data");
      child.kill("SIGTERM");
      expect(await finish(child)).toMatchObject({ code: 9, stdout: "told\n" });
    });

    test("captures on an interface, and knows which there are", async () => {
      const capture = start("capture", "--name", NAME, "os1_my1", "eth0", "--", "-c", "1", "tcp");
      const isListening = new Promise<void>((resolve) => {
        capture.stderr?.on("data", (note) => String(note).includes("listening on") && resolve());
      });
      const captured = finish(capture);
      await isListening;
      await lab("exec", "os1_my1", "--", "curl", "-s", "10.5.75.3:3000");
      expect((await captured).stdout).toMatch(/10\.5\.75\.2\.\d+ > 10\.5\.75\.3\.3000: Flags \[S\]/);
      const wrong = await lab("capture", "os1_my1", "eth7");
      expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("Known interfaces: lo, eth0, any") });
    });

    test("lists hosts, pods, routes and listeners", async () => {
      const report: { places: { name: string; routes: string[]; listeners: string[] }[] } = JSON.parse(
        (await lab("status", "--json")).stdout,
      );
      expect(report.places.find(({ name }) => name === "os2_my2")).toMatchObject({
        host: "cloudos2",
        listeners: ["tcp 10.5.88.3:3000", "udp 10.5.88.3:3000"],
      });
      expect((await lab("status")).stdout).toContain("10.5.88.0/24 via 10.5.88.0 dev flannel.1 onlink");
    });

    test.for([
      {
        what: "a second lab of the same name",
        args: ["up", "--name", NAME],
        code: 1,
        says: "is up already [LAB_EXISTS]",
      },
      {
        what: "an unknown place",
        args: ["exec", "--name", NAME, "cloudos9", "--", "true"],
        code: 2,
        says: "Known places: cloudos1, cloudos2, os1_my1",
      },
      {
        what: "a lab that is not up",
        args: ["exec", "--name", `${NAME}-no`, "cloudos1", "--", "true"],
        code: 1,
        says: "[NO_SUCH_LAB]",
      },
      { what: "a name that a lab cannot have", args: ["up", "--name", "../x"], code: 2, says: "[BAD_LAB_NAME]" },
      { what: "an overlay that does not exist", args: ["up", "--overlay", "gre"], code: 2, says: "vxlan, host-gw" },
    ])("refuses $what", async ({ args, code, says }) => {
      const ended = await finish(start(...args));
      expect(ended.stderr).toContain(says);
      expect(ended.code).toBe(code);
    });

    test("reads a topology from stdin, and in the foreground ends by SIGINT with everything", async () => {
      const topology = JSON.stringify({
        hosts: [
          {
            name: "solo",
            address: "192.0.2.1",
            podCIDR: "10.1.0.0/24",
            pods: [{ name: "one", address: "10.1.0.2:80" }],
          },
        ],
        services: [{ name: "s", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["one"] }],
      });
      const name = `${NAME}-2`;
      const foreground = start("up", "--name", name, "--data-path", "userspace", "-");
      if (foreground.stdin === null || foreground.stdout === null) throw new Error("no pipes");
      foreground.stdin.end(topology);
      await once(foreground.stdout, "data");
      const { stdout } = await finish(start("exec", "--name", name, "one", "--", "curl", "-s", "10.96.0.1"));
      expect(stdout).toMatch(/^one 10\.1\.0\.1:\d+\n$/);
      foreground.kill("SIGINT");
      expect((await finish(foreground)).code).toBe(0);
      expect((await finish(start("status", "--name", name))).code).toBe(1);
    });
  },
);
