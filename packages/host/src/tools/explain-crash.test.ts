import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { thisMachine } from "../machine/machine.ts";
import { explainCrash } from "./explain-crash.ts";
import { EndedTool, type ToolRunner } from "./run-tool.ts";

/** An nft that a signal ends where it reads sets, on the PATH before any other. */
function putNft(signal: "SEGV" | "TERM"): void {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-nft-"));
  const file = join(folder, "nft");
  writeFileSync(
    file,
    `#!/bin/sh
case "$*" in
  --version) echo "nftables v1.0.6 (Lester Gooch #5)" ;;
  "list chains") printf 'table ip good {\\n}\\ntable ip bad {\\n}\\n' ;;
  "list table ip good") ;;
  *) kill -${signal} $$ ;;
esac
`,
  );
  chmodSync(file, 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
}

test("an nft that crashes names the table that it cannot read", async () => {
  putNft("SEGV");
  await expect(thisMachine.run("nft", ["list", "ruleset"])).rejects.toMatchObject({
    code: "NFT_CRASHED",
    message: expect.stringContaining("nft 1.0.6 was ended by SIGSEGV while it read table ip bad"),
  });
});

test.for([
  [[{ pid: 12, command: "kube-proxy", version: undefined }], "kube-proxy (ask it: nsenter -t 12 -m nft --version)"],
  [
    [{ pid: 12, command: "kube-proxy", version: "1.1.3" }],
    "kube-proxy has nft 1.1.3 (run it by: nsenter -t 12 -m nft)",
  ],
  [[], "no program here is seen to have an nft of its own"],
] as const)("who may have written it: %j", async ([writers, hint]) => {
  const run: ToolRunner = async (_tool, args) => ({
    ...{ exitCode: 0, stderr: "" },
    stdout: args.includes("--version") ? "nftables v1.0.6 (Lester Gooch #5)\n" : "",
  });
  expect(await explainCrash(new EndedTool("nft", "SIGSEGV"), run, async () => writers)).toMatchObject({
    message: expect.stringContaining("nft 1.0.6 was ended by SIGSEGV"),
    hint: expect.stringContaining(hint),
  });
});

test("one that somebody ends does not", async () => {
  putNft("TERM");
  await expect(thisMachine.run("nft", ["list", "ruleset"])).rejects.toMatchObject({
    code: "TOOL_FAILED",
    message: "nft was ended by SIGTERM before it was done",
  });
});
