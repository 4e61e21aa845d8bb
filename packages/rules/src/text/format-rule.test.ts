import { expect, test } from "vitest";
import { parseCommands } from "../rule-sets/parse-commands.ts";
import { formatCommands } from "./format-commands.ts";

test.for([
  "-A KUBE-SERVICES -d 10.1.1.1 -p tcp -m tcp --dport 80 -j KUBE-SVC-1",
  "-A KUBE-SERVICES -m comment --comment a -m tcp -p tcp -d 10.1.1.1 --dport 80 -j KUBE-SVC-1",
  "-A KUBE-SVC-1 -m udp -p udp -d 10.1.1.1 --dport 53 ! -s 10.5.0.0/16 -j KUBE-MARK-MASQ",
  "-A KUBE-NODEPORTS -m comment --comment a -m sctp -p sctp --dport 30080 -j KUBE-EXT-1",
  "-A KUBE-SVC-1 -m recent --name KUBE-SEP-1 --rcheck --seconds 600 --reap -j KUBE-SEP-1",
  "-A KUBE-SERVICES -d 10.1.1.1 -j REJECT",
  "-A KUBE-SERVICES -d 10.1.1.1 -j REJECT --reject-with tcp-reset",
  "-A KUBE-SEP-1 -m tcp -p tcp -j DNAT --to-destination 10.5.75.2:3000",
])("`%s` comes back as it was written", (line) => {
  const text = `iptables -t nat ${line}\n`;
  expect(formatCommands(parseCommands(text), { family: 4 })).toBe(text);
});
