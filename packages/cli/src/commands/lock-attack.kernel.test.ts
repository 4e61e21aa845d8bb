import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, onTestFinished, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";

const ROOT = resolve(import.meta.dirname, "../../../..");
const ATTACKER = join(ROOT, "packages/host/src/testing/lock-attacker.ts");
const APPLY = [
  "iptables",
  "apply",
  join(ROOT, "examples/cloudos.yaml"),
  "--host",
  "cloudos1",
  "--foreign-host",
  "--json",
];
const reason = whyNoKernelTests(["ip", "iptables", "conntrack", "setpriv"]);

describe.skipIf(reason !== undefined)(`a machine under attack${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("an ordinary user who takes the names of locks and floods what he can reach does not hold up apply", async () => {
    await using namespace = await createNetworkNamespace();
    expect((await runCli(namespace, APPLY)).exitCode).toBe(0); // now there is /run/svcproxy
    const attacker = spawn(
      "nsenter",
      [
        ...[`--net=/proc/${namespace.pid}/ns/net`, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        ...[process.execPath, ATTACKER, "/run/svcproxy"],
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => {
      attacker.kill("SIGKILL");
    });
    expect(JSON.parse(String((await once(attacker.stdout, "data"))[0]))).toEqual([]);
    await namespace.run("iptables", ["-t", "nat", "-D", "OUTPUT", "-j", "KUBE-SERVICES"]);
    const { exitCode, stdout, stderr } = await runCli(namespace, APPLY);
    expect({ exitCode, changed: JSON.parse(stdout).changed }, stderr).toEqual({ exitCode: 0, changed: true });
    expect(stderr).not.toMatch(/waiting for another svcproxy/);
    expect(attacker.exitCode).toBeNull();
  });
});
