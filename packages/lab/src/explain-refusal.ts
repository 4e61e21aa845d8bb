import process from "node:process";
import { readSysctl } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** Why the kernel would not make the lab's namespaces, and what to do about it, in one sentence each. */
export async function explainRefusal(complaint: string): Promise<EnvironmentError> {
  const reason = complaint.trim().split("\n").at(-1) ?? "";
  const message = `Cannot make the lab's namespaces: ${reason === "" ? "the kernel refused" : reason}`;
  return new EnvironmentError("LAB_NO_NAMESPACES", message, { hint: await wayOut() });
}

/** Settings that keep ordinary users from making user namespaces, and the value that allows them. */
const SWITCHES: readonly { readonly sysctl: string; readonly refuses: string; readonly allows: string }[] = [
  { sysctl: "kernel.apparmor_restrict_unprivileged_userns", refuses: "1", allows: "0" },
  { sysctl: "kernel.unprivileged_userns_clone", refuses: "0", allows: "1" },
  { sysctl: "user.max_user_namespaces", refuses: "0", allows: "10000" },
];

async function wayOut(): Promise<string> {
  if (process.getuid?.() === 0) {
    return "In a container, give it the right to make namespaces (docker run --privileged), or run it on the machine itself";
  }
  for (const { sysctl, refuses, allows } of SWITCHES) {
    if ((await readSysctl(sysctl)) === refuses)
      return `Run it by sudo, or allow user namespaces: sudo sysctl -w ${sysctl}=${allows}`;
  }
  return "Run it by sudo";
}
