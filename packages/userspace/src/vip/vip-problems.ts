import { type IpAddress, listNames, type Problem } from "@svcproxy/topology";

/** Something of ours that should have gone and is still there, or stays as we set it. */
export function leftBehind(subject: string, text: string): Problem {
  return { code: "VIP_LEFT_BEHIND", severity: "warning", subject, text };
}

/** A range, or VIPs, that could not be made local. */
export function notLocal(subject: string, text: string): Problem {
  return { code: "VIP_NOT_LOCAL", severity: "warning", subject, text };
}

/** All VIPs that nobody can listen on here as one problem; none where there are none. */
export function missingVips(
  reasons: ReadonlyMap<IpAddress, string>,
  { command }: { readonly command: string | undefined },
): readonly Problem[] {
  if (reasons.size === 0) return [];
  const missing = listNames([...reasons].map(([vip, reason]) => `${vip} (${reason})`));
  const problem = notLocal("VIPs", `VIPs that are not on this host: ${missing}`);
  return [command === undefined ? problem : { ...problem, hint: `this would help: ${command}` }];
}
