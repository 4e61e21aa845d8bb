import { expect, test } from "vitest";
import { readPackets } from "./capture.ts";

test("reads the packets of the document's tcpdump", () => {
  const capture = [
    "11:27:01.379880 IP 192.168.1.6.56094 > 10.5.88.2.3000: Flags [S], seq 1416448032, win 64860, options [mss 1410,sackOK,TS val 3771774629 ecr 0,nop,wscale 7], length 0",
    "11:31:45.930865 IP 10.5.88.2.3000 > 10.5.75.0.55646: Flags [S.], seq 502294427, ack 2113060413, win 64704, length 0",
    "11:31:45.930917 IP 10.5.75.0.55646 > 10.5.88.2.3000: Flags [.], ack 1, win 510, length 0",
  ].join("\n");
  expect(readPackets(capture)).toEqual([
    { from: "192.168.1.6:56094", to: "10.5.88.2:3000", flags: "S", sequence: "1416448032" },
    { from: "10.5.88.2:3000", to: "10.5.75.0:55646", flags: "S.", sequence: "502294427" },
    { from: "10.5.75.0:55646", to: "10.5.88.2:3000", flags: "." },
  ]);
});
