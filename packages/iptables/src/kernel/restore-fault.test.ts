import { expect, test } from "vitest";
import { restoreFault } from "./restore-fault.ts";
import type { TableChange } from "./table-change.ts";

const change: TableChange = {
  family: 4,
  table: "nat",
  commands: [
    {
      kind: "append",
      table: "nat",
      chain: "OUTPUT",
      rule: { matches: [], target: { kind: "jump", chain: "NOWHERE" } },
    },
  ],
};

test.for([
  {
    stderr:
      "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\n\nError occurred at line: 1\n",
    code: "NO_TABLE",
    message: "Cannot change table nat (IPv4): this kernel does not have the table",
  },
  {
    stderr:
      "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)\n",
    code: "NO_TABLE",
    message: "Cannot change table nat (IPv4): this kernel does not have the table",
  },
  {
    stderr:
      "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: CHAIN_ADD failed (No such file or directory): chain PREROUTING\n",
    code: "NO_TABLE",
    message: "Cannot change table nat (IPv4): this kernel does not have the table",
  },
  {
    stderr:
      "iptables-nft-restore v1.8.9 (nf_tables): \nline 3: CHAIN_ADD failed (Operation not supported): chain OUTPUT\n",
    code: "TABLE_INCOMPATIBLE",
    message:
      "Cannot change table nat (IPv4): the table holds native nftables chains or rules that iptables cannot handle",
  },
  {
    stderr: "Fatal: can't open lock file /run/xtables.lock: Read-only file system\n",
    code: "LOCK_FILE_READ_ONLY",
    message:
      "Cannot change table nat (IPv4): iptables cannot write its lock file, because the file system is read-only",
  },
  {
    stderr: "Another app is currently holding the xtables lock. Stopped waiting after 15s.\n",
    code: "XTABLES_LOCKED",
    message: "Cannot change table nat (IPv4): another program kept the xtables lock all the time that we waited",
  },
  {
    stderr:
      "iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n",
    code: "NEEDS_ROOT",
    message: "Cannot change table nat (IPv4): this needs root (CAP_NET_ADMIN in the network namespace)",
  },
  {
    stderr:
      "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: RULE_APPEND failed (Too many links): rule in chain OUTPUT\n",
    code: "RESTORE_REFUSED",
    message:
      "Cannot change table nat (IPv4): iptables-restore refused it: iptables-nft-restore v1.8.9 (nf_tables): line 2: RULE_APPEND failed (Too many links): rule in chain OUTPUT (that is: -A OUTPUT -j NOWHERE)",
  },
])("$code: $stderr", ({ stderr, code, message }) => {
  expect(restoreFault("iptables-restore", change, { exitCode: 1, stdout: "", stderr })).toMatchObject({
    code,
    message,
  });
});
