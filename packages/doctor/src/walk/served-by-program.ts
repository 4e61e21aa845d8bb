import type { TracedBranch } from "@svcproxy/rules";
import { familyOf } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";
import type { Dialled } from "./dialled.ts";

/** The userspace proxy, or any other: a program of this host answers at the address that was dialled. */
export function servedByProgram(
  at: ObservedHost,
  {
    way: { branch, frontend, to, port, client },
    endpoint,
  }: {
    readonly way: Dialled & { readonly branch: TracedBranch };
    readonly endpoint: { readonly address: string } | undefined;
  },
): boolean {
  if (branch.kind === "undecided") return false;
  const { ending } = branch.ended;
  if (ending.kind !== "delivered" || ending.to !== "host" || endpoint?.address !== to) return false;
  // What nobody listens for, the kernel itself refuses.
  return isListened(at, { frontend, to, port }) === (client.wanted.kind === "forward");
}

/** A program of this host listens where it is dialled. */
export function isListened({ snapshot }: ObservedHost, { frontend, to, port }: Omit<Dialled, "client">): boolean {
  return snapshot.sockets.some(
    ({ protocol, address, port: listened, holders }) =>
      protocol === port.port.protocol &&
      listened === frontend.port &&
      (address === undefined || (address === to && familyOf(address) === port.family)) &&
      (address !== undefined || holders.some(({ command }) => /svcproxy|node/.test(command))),
  );
}
