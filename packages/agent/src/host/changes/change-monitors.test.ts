import { expect, test } from "vitest";
import { writerIn } from "./change-monitors.ts";

test.for([
  { line: "# new generation 12 by process 21077 (nft)", writer: { pid: 21077, program: "nft" } },
  { line: "# new generation 8 by process 21055 (iptables-nft)", writer: { pid: 21055, program: "iptables-nft" } },
  { line: "# new generation 3 by process 4 (a (b) c)", writer: { pid: 4, program: "a (b) c" } },
  { line: "# new generation 3", writer: {} },
  { line: "delete table ip svcproxy", writer: undefined },
])("who made a change is read from: $line", ({ line, writer }) => {
  expect(writerIn(line)).toEqual(writer);
});
