import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, describe, expect, inject, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "svcproxy-output-"));
afterAll(() => rmSync(folder, { recursive: true }));

// A topology that deserves a note (its Pod is passed over) by the log.
const objects = join(folder, "objects.yaml");
writeFileSync(
  objects,
  `apiVersion: v1
kind: Node
metadata: { name: one }
status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] }
---
apiVersion: v1
kind: Secret
metadata: { name: other }
`,
);

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [inject("program"), ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...env },
  });
  return { exitCode: status, stdout, stderr };
}

describe("--quiet", () => {
  test("leaves the data, and neither notes nor logs", () => {
    const rules = run(["iptables", "--host", "cloudos1"]);
    expect(rules.stderr).toContain("using the built-in example");
    expect(run(["iptables", "--host", "cloudos1", "--quiet"])).toEqual({ ...rules, stderr: "" });
    expect(run(["check", objects]).stderr).toContain("passed over");
    expect(run(["check", "-q", objects])).toMatchObject({ exitCode: 0, stderr: "" });
  });

  test("leaves why it fails", () => {
    expect(run(["iptables", "--host", "nobody", "-q"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^The topology lists no host "nobody" \[UNKNOWN_HOST\]\n {2}hint: /),
    });
  });
});

describe("--log-format", () => {
  test("json makes each line of stderr an object", () => {
    const lines = [
      ["check", objects],
      ["iptables", "--host", "nobody"],
    ].flatMap((args) =>
      run([...args, "--log-format", "json"])
        .stderr.trimEnd()
        .split("\n"),
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        level: 30,
        time: expect.any(Number),
        passedOver: { Secret: 1 },
        msg: "objects of other kinds were passed over",
      },
      { level: 30, time: expect.any(Number), msg: expect.stringContaining("built-in example") },
      { level: 50, time: expect.any(Number), msg: expect.stringMatching(/\[UNKNOWN_HOST\]\n {2}hint: /) },
    ]);
  });

  test("text is for people, without colour where it is not on a terminal", () => {
    expect(run(["check", objects, "--log-format", "text"]).stderr).toMatch(
      /^\[\d\d:\d\d:\d\d\] INFO: objects of other kinds were passed over\n {4}passedOver: /,
    );
  });
});

test.for([
  { env: { TERM: "xterm" }, colours: true },
  { env: { TERM: "dumb" }, colours: false },
  { env: { TERM: "xterm", NO_COLOR: "1" }, colours: false },
])("a terminal with $env has colours: $colours", ({ env, colours }) => {
  const command = `${process.execPath} ${inject("program")} check ${objects}`;
  const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...env },
  });
  expect(stdout).toContain("passed over");
  expect(stdout.includes("\u001b[")).toBe(colours);
});
