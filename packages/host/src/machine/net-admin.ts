import { readFile } from "node:fs/promises";
import { EnvironmentError } from "@svcproxy/topology";

/** CAP_NET_ADMIN, see capabilities(7). */
const NET_ADMIN_BIT = 12n;

/** Whether this process may change addresses, routes and rules of its network namespace; true where the kernel does not say. */
export async function hasNetAdmin(): Promise<boolean> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective === undefined || ((BigInt(`0x${effective}`) >> NET_ADMIN_BIT) & 1n) === 1n;
}

/** @throws EnvironmentError NEEDS_ROOT where this process may neither read nor change rules */
export async function requireNetAdmin(machine: { hasNetAdmin(): Promise<boolean> }): Promise<void> {
  if (await machine.hasNetAdmin()) return;
  throw new EnvironmentError("NEEDS_ROOT", "Cannot read or change the rules: this needs root (CAP_NET_ADMIN)", {
    hint: "Try it with sudo",
  });
}
