import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { expect, inject, test } from "vitest";

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs svcproxy in a shell of its own, as `svcproxy` of the script; the exit code is the first that is not 0 of a pipe. */
function runShell(script: string, stdin = ""): Promise<Ended> {
  const run = `"${process.execPath}" "${inject("program")}"`;
  const shell = spawn("bash", ["-o", "pipefail", "-c", `svcproxy() { ${run} "$@"; }; ${script}`]);
  const texts = { stdout: "", stderr: "" };
  shell.stdout.on("data", (chunk) => (texts.stdout += chunk));
  shell.stderr.on("data", (chunk) => (texts.stderr += chunk));
  // Not every command reads it to the end.
  shell.stdin.on("error", () => {}).end(stdin);
  return new Promise((resolve) => shell.on("close", (exitCode) => resolve({ exitCode, ...texts })));
}

const hosts = Array.from({ length: 20_000 }, (_, index) => ({
  name: `host${index}`,
  address: `10.1.${index >> 8}.${index & 255}`,
}));
const LARGE = JSON.stringify({ hosts });
const FAULTY = JSON.stringify({ hosts: hosts.map(({ name }) => ({ name, address: "10.1" })) });

test("a reader that goes away ends the output quietly", async () => {
  const { exitCode, stdout, stderr } = await runShell("svcproxy check - | head -1", LARGE);
  expect([exitCode, stdout, stderr]).toEqual([0, "Hosts (20000)\n", ""]);
});

test("a reader of the faults that goes away changes nothing of the exit code", async () => {
  const { exitCode, stdout } = await runShell("svcproxy check - 2>&1 | head -1", FAULTY);
  expect([exitCode, stdout]).toEqual([2, expect.stringContaining("BAD_ADDRESS")]);
});

test.skipIf(!existsSync("/dev/full")).for(["check -", "--help", "schema"])(
  "%s on a full disk fails with one sentence",
  async (command) => {
    const { exitCode, stderr } = await runShell(`svcproxy ${command} > /dev/full`, LARGE);
    expect([exitCode, stderr]).toEqual([
      1,
      "svcproxy: Cannot write the output: no space is left [STDOUT_UNWRITABLE]\n",
    ]);
  },
);
