import { readFileSync } from "node:fs";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

/** Why the kernel would not make the lab's namespaces, and what to do about it, in one sentence each. */
export function explainRefusal(complaint: string): EnvironmentError {
  const reason = complaint.trim().split("\n").at(-1) ?? "";
  const message = `Cannot make the lab's namespaces: ${reason === "" ? "the kernel refused" : reason}`;
  return new EnvironmentError("LAB_NO_NAMESPACES", message, { hint: wayOut() });
}

/** Settings that keep ordinary users from making user namespaces, and the value that allows them. */
const SWITCHES: readonly { readonly path: string; readonly refuses: string; readonly remedy: string }[] = [
  {
    path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    refuses: "1",
    remedy: "kernel.apparmor_restrict_unprivileged_userns=0",
  },
  { path: "/proc/sys/kernel/unprivileged_userns_clone", refuses: "0", remedy: "kernel.unprivileged_userns_clone=1" },
  { path: "/proc/sys/user/max_user_namespaces", refuses: "0", remedy: "user.max_user_namespaces=10000" },
];

function wayOut(): string {
  if (process.getuid?.() === 0) {
    return "In a container, give it the right to make namespaces (docker run --privileged), or run it on the machine itself";
  }
  const closed = SWITCHES.find(({ path, refuses }) => readSetting(path) === refuses);
  return closed === undefined
    ? "Run it by sudo"
    : `Run it by sudo, or allow user namespaces: sudo sysctl -w ${closed.remedy}`;
}

function readSetting(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
