import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { toolCommand } from "./host-root.ts";

function hostRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "svcproxy-root-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, "usr/sbin"), { recursive: true });
  mkdirSync(join(root, "etc/alternatives"), { recursive: true });
  writeFileSync(join(root, "usr/sbin/nft"), "");
  writeFileSync(join(root, "usr/sbin/xtables-nft-multi"), "");
  symlinkSync("/etc/alternatives/iptables", join(root, "usr/sbin/iptables"));
  symlinkSync("/usr/sbin/iptables-nft", join(root, "etc/alternatives/iptables"));
  symlinkSync("xtables-nft-multi", join(root, "usr/sbin/iptables-nft"));
  symlinkSync("/nowhere", join(root, "usr/sbin/iptables-legacy-save"));
  symlinkSync("ip6tables", join(root, "usr/sbin/ip6tables"));
  writeFileSync(join(root, "usr/sbin/ip"), "");
  return root;
}

test.for([
  ["nft", "/usr/sbin/nft"],
  ["iptables", "/usr/sbin/iptables"],
  ["iptables-nft", "/usr/sbin/iptables-nft"],
] as const)("the host's %s is run inside its own file system, also through links", ([tool, path]) => {
  const root = hostRoot();
  expect(toolCommand(tool, root)).toEqual({ program: "chroot", before: [root, path] });
});

test.for(["iptables-legacy-save", "ip6tables", "iptables-restore"])(
  "what the host does not have (%s: a link to nothing, a circle, no file) is ours",
  (tool) => {
    expect(toolCommand(tool, hostRoot())).toEqual({ program: tool, before: [] });
  },
);

test("programs that change no rules are ours, and so is everything without a host", () => {
  expect(toolCommand("ip", hostRoot())).toEqual({ program: "ip", before: [] });
  expect(toolCommand("nft", undefined)).toEqual({ program: "nft", before: [] });
  expect(toolCommand("nft", "")).toEqual({ program: "nft", before: [] });
});
