import { hostProblems, type Machine, readSurroundings, thisMachine } from "@svcproxy/host";
import { deleteStaleUdpFlows } from "../kernel/conntrack.ts";
import { knowsRandomFully, openKernel } from "../kernel/kernel-session.ts";
import { lostGuard } from "../kernel/lost-guard.ts";
import type { IptablesMachine } from "./iptables-machine.ts";

const FAMILIES = [4, 6] as const;

/** The rules of a machine's kernel. @param machine default the one that we run on */
export function kernelMachine(machine: Machine = thisMachine): IptablesMachine {
  return {
    async open(options) {
      const session = await openKernel({ ...options, machine });
      return {
        choice: session.choice,
        tables: session.tables,
        readListeners: machine.readListeners,
        readHolders: machine.readHolders,
        async abilities({ signal }) {
          const [randomFully, liberal] = await Promise.all([
            knowsRandomFully(session.choice.tools, signal, { machine }),
            machine.readSysctl("net.netfilter.nf_conntrack_tcp_be_liberal"),
          ]);
          return { randomFully, dropInvalid: liberal !== "1" };
        },
        deleteStaleUdpFlows: (flush) => deleteStaleUdpFlows({ ...flush, machine }),
        problemsWith: (needs, { signal }) => hostProblems(needs, signal, { machine }),
        async surroundings({ signal }) {
          const rival = session.choice.available.slice(1).find(({ ruleCount }) => ruleCount > 0);
          const [seen, others] = await Promise.all([
            readSurroundings(machine, { signal }),
            rival === undefined
              ? []
              : Promise.all(FAMILIES.map((family) => session.tables(rival.tools).save(family, { signal }))),
          ]);
          return seen === undefined ? undefined : { ...seen, others };
        },
        lostGuard: (rules) => lostGuard({ ...rules, machine }),
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      };
    },
  };
}
