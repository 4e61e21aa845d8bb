import { execFileSync } from "node:child_process";
import { cpSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const containerfile = readFileSync(resolve(import.meta.dirname, "../../../../deploy/kubernetes/Containerfile"), "utf8");
const packages = (/apt-get install [^&]*?((?: [a-z][a-z0-9.+-]+)+) \\?\n? *&&/.exec(containerfile)?.[1] ?? "")
  .split(" ")
  .filter((word) => word !== "");
const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy", "conntrack", "chroot", "dpkg"]);

/** What Debian's slim image has besides: a shell, and what every program is linked to. */
const BASE = ["dash", "coreutils", "libc6", "libc-bin", "libgcc-s1", "sysvinit-utils"];

const FIELDS = ["Depends", "Pre-Depends"].map((field) => `\${${field}}`).join(",");

let root = "";

/** Packages of this machine with all that they depend on. */
function closureOf(names: readonly string[]): ReadonlySet<string> {
  const all = new Set(names);
  for (const name of all) {
    let depends = "";
    try {
      depends = execFileSync("dpkg-query", ["-W", "-f", FIELDS, name], {
        encoding: "utf8",
        stdio: "pipe",
      });
    } catch {
      continue; // virtual, or another alternative is installed
    }
    for (const part of depends.split(/[,|]/)) {
      const dependency = /^ *([a-z0-9.+-]+)/.exec(part)?.[1];
      if (dependency !== undefined && !["debconf", "cdebconf", "perl"].includes(dependency)) all.add(dependency);
    }
  }
  return all;
}

function inImage(...command: readonly string[]): string {
  return execFileSync("chroot", [root, ...command], {
    encoding: "utf8",
    stdio: "pipe",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
}

describe.skipIf(reason !== undefined)(
  `the image${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    beforeAll(async () => {
      root = mkdtempSync(join(tmpdir(), "svcproxy-image-"));
      // As Debian merges them.
      for (const name of ["bin", "sbin", "lib", "lib64"]) {
        mkdirSync(join(root, "usr", name), { recursive: true });
        execFileSync("ln", ["-s", `usr/${name}`, join(root, name)]);
      }
      for (const name of closureOf([...BASE, ...packages])) copyPackage(name);
      mkdirSync(join(root, "etc/alternatives"), { recursive: true });
      for (const tool of ["iptables", "ip6tables"]) {
        execFileSync("ln", ["-sf", `/usr/sbin/${tool}-nft`, join(root, "usr/sbin", tool)]);
      }
      for (const name of ["proc", "sys", "tmp", "run", "dev"]) mkdirSync(join(root, name), { recursive: true });
      const { makeExecutable } = await import("../../make-executable.ts");
      await makeExecutable({ output: join(root, "usr/bin/svcproxy") });
    }, 180_000);

    afterAll(() => rmSync(root, { recursive: true, force: true }));

    test("names its packages", () => {
      expect(packages).toEqual(expect.arrayContaining(["nftables", "iptables", "conntrack", "iproute2"]));
    });

    test.for([
      "nft --version",
      "iptables-nft --version",
      "iptables-legacy --version",
      "conntrack --version",
      "ip -V",
      "setpriv --version",
      "perl --version",
    ])("%s runs with what these packages bring", (line) => {
      expect(inImage(...line.split(" "))).toMatch(/\d+\.\d+/);
    });

    test("svcproxy runs in it", () => {
      expect(inImage("svcproxy", "--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
    });

    test("prepares a host, and serves it by the host's own nft", () => {
      // A network and a mount namespace of its own; /host is this machine's file system.
      const script = `
      set -e
      mount -t proc proc ${root}/proc && mount -t sysfs sysfs ${root}/sys
      mkdir ${root}/host && mount --rbind / ${root}/host
      mkdir -p ${root}/dev/shm && mount -t tmpfs tmpfs ${root}/dev/shm
      mknod -m 666 ${root}/dev/null c 1 3
      ip link set lo up
      printf '%s' 'hosts: [{ name: a, address: 127.0.0.1 }]
services: [{ name: web, clusterIP: 10.96.0.1, ports: [{ port: 80 }], endpoints: ["127.0.1.1:80"] }]' > ${root}/tmp/topology.yaml
      chroot ${root} svcproxy run kubernetes --init-only
      SVCPROXY_HOST_ROOT=/host chroot ${root} svcproxy nftables apply /tmp/topology.yaml --host a
      nft list map ip svcproxy services`;
      const output = execFileSync("unshare", ["--net", "--mount", "sh", "-c", script], {
        encoding: "utf8",
        stdio: "pipe",
      });
      expect(output).toContain("10.96.0.1 . tcp . 80");
    });
  },
);

/** Its files, as they are here. */
function copyPackage(name: string): void {
  let files = "";
  try {
    files = execFileSync("dpkg", ["-L", name], { encoding: "utf8", stdio: "pipe" });
  } catch {
    return;
  }
  for (const file of files.split("\n")) {
    if (!/^\/(usr\/)?(s?bin|lib)/.test(file) || /\/(locale|doc|man)\//.test(file)) continue;
    const path = file.replace(/^\/(s?bin|lib|lib64)\//, "/usr/$1/");
    const stats = lstatSync(file, { throwIfNoEntry: false });
    if (stats === undefined || stats.isDirectory() || dirname(file) === "/") continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    cpSync(file, join(root, path), { verbatimSymlinks: true });
  }
}
