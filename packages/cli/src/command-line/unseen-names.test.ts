import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { escapeUnseen } from "@svcproxy/topology";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-unseen-"));
  writeFileSync(join(folder, "names.yaml"), NAMES);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A bidirectional override, a C1 control, a zero-width space and an isolate, in every name that a topology has. */
const NAMES = JSON.stringify({
  hosts: [
    {
      name: "h\u202e1",
      address: "192.168.0.1",
      podCIDR: "10.1.0.0/24",
      pods: [{ name: "p\u009b\u200b", address: "10.1.0.2:80" }],
    },
  ],
  services: [
    {
      name: "w\u202eb\u0085\u001b[31m",
      namespace: "n\u200bs",
      clusterIP: "10.96.0.1",
      externalIPs: ["192.168.0.1"],
      ports: [{ port: 80, name: "h\u2066", nodePort: 30080 }],
      endpoints: ["p\u009b\u200b", "10.96.0.1:80"],
    },
  ],
});
/** The first character that a terminal would not show, or would obey. */
function unseenIn(text: string): string | undefined {
  return text.includes("\u001b[31m") ? "ESC" : [...text].find((character) => escapeUnseen(character) !== character);
}

describe("no name brings characters along that a terminal does not show, or obeys", () => {
  test.for([
    "check",
    "check --json",
    "iptables",
    "iptables --dialect kubernetes",
    "iptables --dialect kubernetes --format restore --family 4",
    "iptables --dialect kubernetes --format json",
    "trace --dialect kubernetes --from 192.168.0.9 --to 10.96.0.1:80",
    "trace --dialect kubernetes --from 192.168.0.9 --to 10.96.0.1:80 --json",
    "prove --dialect kubernetes",
    "prove --dialect kubernetes --json",
    "check --host nobody\u202e",
  ])("svcproxy %s", (command) => {
    const [name = "", ...flags] = command.split(" ");
    const host = flags.includes("--host") ? [] : ["--host", "h\u202e1"];
    const args = [name, join(folder, "names.yaml"), ...flags, ...host];
    const { stdout, stderr } = spawnSync(process.execPath, [inject("program"), ...args], { encoding: "utf8" });
    expect(stdout + stderr).not.toBe("");
    expect(unseenIn(stdout + stderr)).toBeUndefined();
    if (flags.includes("--json") || flags.includes("json")) JSON.parse(stdout);
  });
});

test("nor does a line of the log, as JSON or pretty", () => {
  const script = `
    import { createLogger } from ${JSON.stringify(new URL("logger.ts", import.meta.url).href)};
    for (const logFormat of ["json", "text"]) {
      const logger = await createLogger({ logFormat });
      logger.info({ service: "w\\u202eb\\u009b" }, "a\\u001b[31m\\u200bname \\\\u202e and \\n a line");
    }`;
  const stderr = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }).stderr;
  const [json = "", ...pretty] = stderr.split("\n");
  expect(unseenIn(stderr)).toBeUndefined();
  expect(JSON.parse(json)).toMatchObject({
    service: "w\u202eb\u009b",
    msg: "a\u001b[31m\u200bname \\u202e and \n a line",
  });
  expect(pretty.join("\n")).toContain("a\\u001b[31m\\u200bname \\u202e and \n");
});

test("a comment of a rule is the same whether it is printed or compared", () => {
  const printed = execFileSync(
    process.execPath,
    [inject("program"), "iptables", join(folder, "names.yaml"), "--host", "h\u202e1", "--dialect", "kubernetes"],
    { encoding: "utf8", stdio: "pipe" },
  );
  expect(printed).toContain("n\\u{200b}s/w\\u{202e}b\\u{85}\\u{1b}[31m:h\\u{2066}");
});
