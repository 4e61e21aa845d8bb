import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { fileInRoot, findInRoot } from "../machine/host-root.ts";
import { nftVersion, writtenNftVersion } from "./nft-version.ts";
import { runTool } from "./run-tool.ts";

const nft = findInRoot("/", "nft");

test.skipIf(nft === undefined)("the version in the file of an nft is the one that it tells", async () => {
  const version = await nftVersion((_nft, args) => runTool(nft ?? "", args));
  expect(version).toMatch(/^\d+\.\d+/);
  expect(await writtenNftVersion(fileInRoot("/", nft ?? "") ?? "")).toBe(version);
});

test("a file that is no nft, or is not there, has none", async () => {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-nft-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "nft");
  writeFileSync(file, "#!/bin/sh\n# 1.1.3 of nftables\n");
  expect(await writtenNftVersion(file)).toBeUndefined();
  expect(await writtenNftVersion(join(folder, "none"))).toBeUndefined();
});
