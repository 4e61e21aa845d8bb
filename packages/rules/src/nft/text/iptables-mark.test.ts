import { expect, test } from "vitest";
import { formatStatement } from "../format-nft-rule.ts";
import { parseNft } from "../parse-nft.ts";

test.for([
  // What iptables-nft was told, and what nft 1.0.6 lists of it.
  ["--set-xmark 0x1/0xff", "ct mark set ct mark xor 0x1 and 0xffffff00", "ct mark set ct mark & 0xffffff00 ^ 0x1"],
  [
    "--save-mark, both masks 0x4000",
    "ct mark set mark and 0x4000",
    "ct mark set ct mark & 0xffffbfff ^ meta mark & 0x4000",
  ],
  [
    "--restore-mark, both masks",
    "meta mark set ct mark and 0x4000",
    "meta mark set meta mark & 0xffffbfff ^ ct mark & 0x4000",
  ],
  ["--or-mark 0x1", "ct mark set ct mark or 0x1", "ct mark set ct mark | 0x1"],
  ["nothing: a rule of nft", "ct mark set meta mark & 0x00004000", "ct mark set meta mark & 0x4000"],
  [
    "MARK --set-xmark 0x1/0xff",
    "meta mark set mark and 0xffffff00 xor 0x1",
    "meta mark set meta mark & 0xffffff00 ^ 0x1",
  ],
] as const)("CONNMARK %s is read from what a listing makes of it", ([, listed, meant]) => {
  const { tables } = parseNft(
    `table ip nat {\n\tchain PREROUTING {\n\t\tcounter packets 0 bytes 0 ${listed}\n\t}\n}\n`,
  );
  const [rule] = tables[0]?.chains[0]?.rules ?? [];
  expect(rule?.statements.slice(1).map(formatStatement).join(" ")).toBe(meant);
});
