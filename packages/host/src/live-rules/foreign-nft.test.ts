import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findForeignNfts } from "./foreign-nft.ts";

test("an nft in a container counts where it shares our network, once for each container", async () => {
  const proc = mkdtempSync(join(tmpdir(), "svcproxy-proc-"));
  onTestFinished(() => rmSync(proc, { recursive: true }));
  const put = (pid: string, files: string, { network = "net:[1]", hasNft = true, text = "" } = {}) => {
    mkdirSync(join(proc, pid, "ns"), { recursive: true });
    symlinkSync(files, join(proc, pid, "ns/mnt"));
    symlinkSync(network, join(proc, pid, "ns/net"));
    writeFileSync(join(proc, pid, "comm"), `program-${pid}\n`);
    mkdirSync(join(proc, pid, "root/usr/sbin"), { recursive: true });
    if (hasNft) writeFileSync(join(proc, pid, "root/usr/sbin/nft"), text);
  };
  put("self", "mnt:[1]");
  put("1", "mnt:[5]");
  put("10", "mnt:[1]");
  put("20", "mnt:[2]", { text: "ELF\0Commodore Bullmoose #4\x001.1.3\0nftables\0%s v%s (%s)\0" });
  put("21", "mnt:[2]");
  put("30", "mnt:[3]", { network: "net:[2]" });
  put("40", "mnt:[4]", { hasNft: false });
  const host = { pid: 1, command: "program-1", version: undefined };
  const container = { pid: 20, command: "program-20", version: "1.1.3" };
  expect(await findForeignNfts({ proc, isInHostRoot: false })).toEqual([host, container]);
  expect(await findForeignNfts({ proc, isInHostRoot: true })).toEqual([container]);
});
