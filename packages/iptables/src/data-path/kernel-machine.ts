import { hostProblems, readSysctl } from "@svcproxy/host";
import { deleteStaleUdpFlows } from "../kernel/conntrack.ts";
import { knowsRandomFully, openKernel } from "../kernel/kernel-session.ts";
import { lostGuard } from "../kernel/lost-guard.ts";
import type { IptablesMachine } from "./iptables-machine.ts";

/** This network namespace of this machine. */
export function kernelMachine(): IptablesMachine {
  return {
    async open(options) {
      const session = await openKernel(options);
      return {
        choice: session.choice,
        tables: session.tables,
        async abilities({ signal }) {
          const [randomFully, liberal] = await Promise.all([
            knowsRandomFully(session.choice.tools, signal),
            readSysctl("net.netfilter.nf_conntrack_tcp_be_liberal"),
          ]);
          return { randomFully, dropInvalid: liberal !== "1" };
        },
        deleteStaleUdpFlows,
        problemsWith: (needs, { signal }) => hostProblems(needs, signal),
        lostGuard,
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
  };
}
