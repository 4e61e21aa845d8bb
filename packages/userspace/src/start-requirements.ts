import { EnvironmentError } from "@svcproxy/topology";
import type { FrontendStatus } from "./proxy-status.ts";

export function tooFewFiles(openFiles: number): EnvironmentError {
  return new EnvironmentError(
    "TOO_FEW_OPEN_FILES",
    `Cannot start: ${openFiles} open files are allowed, which leaves none for connections`,
    { hint: "Raise the limit first: ulimit -n 65536, or LimitNOFILE= in the systemd unit" },
  );
}

/** All means all: a frontend that no userspace proxy can serve is missing as well. */
export function requireEveryFrontend(frontends: readonly FrontendStatus[]): void {
  const missing = frontends.filter(({ state }) => state.kind === "failed" || state.kind === "unsupported");
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length === 1 ? "" : ` and ${missing.length - 1} more`;
  const reason = "reason" in first.state ? ` (${first.state.reason})` : "";
  const needsRules = missing.some(({ state }) => state.kind === "unsupported");
  throw new EnvironmentError(
    "FRONTENDS_NOT_SERVED",
    `Cannot serve ${first.key}${reason}${more}, and --require-all was given`,
    {
      hint: needsRules
        ? "Without --require-all the others are served; what no userspace proxy can serve, rules can: svcproxy iptables apply"
        : "Without --require-all the others are served, and what is missing is named",
    },
  );
}
