import { expect, test } from "vitest";
import { parseFrontendCounts } from "./read-frontend-counts.ts";

test("rules from an address and port to a service's chain count, in both dialects", () => {
  expect(
    parseFrontendCounts(
      `*nat
[7:420] -A PREROUTING -j KUBE-SERVICES
[3:180] -A KUBE-SERVICES -d 10.100.100.1/32 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1
[2:120] -A KUBE-SERVICES -d 10.96.0.20/32 -p udp -m comment --comment "a -p tcp -d 1.1.1.1/32 \\" --dport 9" -m udp --dport 53 -j KUBE-SVC-EXSXZD6ZTOPIC2BI
[1:60] -A KUBE-SERVICES -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -j KUBE-EXT-X
[4:240] -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-MARK-MASQ
[4:240] -A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-1
[9:540] -A KUBE-SVC-X ! -s 10.244.0.0/16 -d 10.96.0.20/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
[9:540] -A KUBE-EXT-X -m addrtype --src-type LOCAL -j KUBE-SVC-X
COMMIT
`,
      4,
    ).map(({ protocol, address, port, connections }) => [protocol, address, port, connections]),
  ).toEqual([
    ["tcp", "10.100.100.1", 7070, 3],
    ["udp", "10.96.0.20", 53, 2],
    ["tcp", "203.0.113.9", 80, 1],
    ["tcp", undefined, 30080, 4],
  ]);
  const line = "[5:400] -A KUBE-SERVICES -d fd00:9::1/128 -p tcp -m tcp --dport 80 -j KUBE-SVC-web";
  expect(parseFrontendCounts(line, 6)).toEqual([
    { family: 6, protocol: "tcp", address: "fd00:9::1", port: 80, connections: 5 },
  ]);
});
