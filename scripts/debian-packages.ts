import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { ROOT, runStep } from "./run-step.ts";

/**
 * Installs the Debian packages that the kernel tests need, where that is possible and allowed; says first which.
 * Elsewhere it names the command: the tests that need them then skip with their reason.
 */
export async function installDebianPackages(): Promise<void> {
  const wanted = readFileSync(resolve(ROOT, "scripts/debian-packages.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const isDebian = existsSync("/etc/debian_version") && spawnSync("apt-get", ["--version"]).status === 0;
  if (!isDebian) {
    process.stdout.write(
      `Kernel tests need these tools (Debian's names), and skip without them: ${wanted.join(" ")}\n`,
    );
    return;
  }
  const missing = wanted.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const command = `apt-get update && apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid?.() !== 0) {
    process.stdout.write(
      `Kernel tests need root and Debian packages, and skip without them:\n  sudo sh -c '${command}'\n`,
    );
    return;
  }
  if (process.env["SVCPROXY_NO_INSTALL"] === "1") {
    process.stdout.write(`SVCPROXY_NO_INSTALL=1: not installing what the kernel tests need:\n  ${command}\n`);
    return;
  }
  process.stdout.write(`Installing the Debian packages that the kernel tests need: ${missing.join(" ")}\n`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await runStep("apt-get", ["-q", "update"], env);
  const forbidden = forbidServices();
  try {
    await runStep(
      "apt-get",
      ["-q", "-y", "install", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", ...missing],
      env,
    );
  } finally {
    forbidden?.[Symbol.dispose]();
  }
  // Nor at the next start of the machine.
  for (const name of missing) {
    const service = SERVICES.get(name);
    if (service !== undefined) spawnSync("systemctl", ["--quiet", "disable", service]);
  }
}

/** Packages that bring a service: the tests need the program alone. */
const SERVICES: ReadonlyMap<string, string> = new Map([["etcd-server", "etcd"]]);

/** What Debian's packages ask before they start a service. */
const POLICY = "/usr/sbin/policy-rc.d";

/** Keeps packages from starting services while they are installed, where nobody decided about that already. */
function forbidServices(): Disposable | undefined {
  try {
    writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755, flag: "wx" });
  } catch {
    return undefined;
  }
  return { [Symbol.dispose]: () => rmSync(POLICY, { force: true }) };
}

function isInstalled(name: string): boolean {
  const { stdout } = spawnSync("dpkg-query", ["--status", name], { encoding: "utf8" });
  return /^Status: .* installed$/m.test(stdout ?? "");
}
