import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

/** Debian packages of the programs that a lab runs. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  bridge: "iproute2",
  ss: "iproute2",
  unshare: "util-linux",
  nsenter: "util-linux",
  mount: "util-linux",
  setpriv: "util-linux",
  setcap: "libcap2-bin",
  tcpdump: "tcpdump",
};

/** The caller's environment with the folders of administration programs, which users other than root lack on Debian. */
export function environmentWithSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: searchPath() };
}

function searchPath(): string {
  const folders = (process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(delimiter);
  return [...new Set([...folders, "/usr/local/sbin", "/usr/sbin", "/sbin"])].join(delimiter);
}

export function isInstalled(tool: string): boolean {
  return searchPath()
    .split(delimiter)
    .some((folder) => {
      try {
        accessSync(join(folder, tool), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** @throws EnvironmentError TOOL_MISSING with the Debian packages to install */
export function requireTools(tools: readonly string[], purpose: string): void {
  const missing = tools.filter((tool) => !isInstalled(tool));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => PACKAGES[tool] ?? tool))];
  throw new EnvironmentError("TOOL_MISSING", `${purpose} needs ${missing.join(" and ")}, which is not installed`, {
    hint: `On Debian and Ubuntu: apt-get install ${packages.join(" ")}`,
  });
}
