import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";
import { toolCommand } from "../machine/host-root.ts";

/** Debian packages of tools that are called otherwise. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  bridge: "iproute2",
  ss: "iproute2",
  unshare: "util-linux",
  nsenter: "util-linux",
  lsns: "util-linux",
  mount: "util-linux",
  setpriv: "util-linux",
  setcap: "libcap2-bin",
  nft: "nftables",
  "systemd-notify": "systemd",
};

/** The Debian package that a tool is in. */
export function packageOf(tool: string): string {
  return PACKAGES[tool] ?? (/^ip6?tables/.test(tool) ? "iptables" : tool);
}

/** The caller's environment with the folders of administration programs, which users other than root lack on Debian. */
export function environmentWithSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: withSbin(ownPath()) };
}

function ownPath(): string {
  return process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
}

function withSbin(path: string): string {
  return [...new Set([...path.split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"])].join(delimiter);
}

/** Whether PATH leads to a program of this name that we may run. @param options.sbin look where administration programs are too */
export function hasTool(tool: string, { sbin = false }: { readonly sbin?: boolean } = {}): boolean {
  if (toolCommand(tool).before.length > 0) return true;
  const path = sbin ? withSbin(ownPath()) : ownPath();
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Those of the tools that are not there, administration programs included. */
export function missingTools(tools: readonly string[]): readonly string[] {
  return tools.filter((tool) => !hasTool(tool, { sbin: true }));
}

/** @throws EnvironmentError MISSING_TOOL with the Debian packages to install */
export function requireTools(tools: readonly string[], purpose: string): void {
  const missing = missingTools(tools);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(packageOf))];
  throw new EnvironmentError("MISSING_TOOL", `${purpose} needs ${missing.join(" and ")}, which is not installed`, {
    hint: `On Debian and Ubuntu: apt-get install ${packages.join(" ")}`,
  });
}
