import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, onTestFinished, test } from "vitest";
import { DEFAULT_UNIT_OPTIONS, renderUnit } from "./render-unit.ts";

test("the unit file in the package is the rendered one", () => {
  const file = new URL("../../systemd/svcproxy-userspace.service", import.meta.url);
  expect(readFileSync(file, "utf8")).toBe(renderUnit(DEFAULT_UNIT_OPTIONS));
});

test("it runs as an ordinary user with two capabilities and nothing more", () => {
  const unit = renderUnit(DEFAULT_UNIT_OPTIONS);
  expect(unit).toContain("\nDynamicUser=yes\n");
  expect(unit).toContain("\nAmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE\n");
  expect(unit).toContain("\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE\n");
});

test.for([
  { argument: "/etc/svcproxy/topology.yaml", line: "/etc/svcproxy/topology.yaml" },
  { argument: "/srv/my files/topology.yaml", line: '"/srv/my files/topology.yaml"' },
  { argument: "100%.yaml", line: "100%%.yaml" },
  { argument: "$HOME.yaml", line: "$$HOME.yaml" },
  { argument: 'a"b\\c', line: '"a\\"b\\\\c"' },
  { argument: "two\nlines", line: '"two\\nlines"' },
  { argument: "", line: '""' },
])("the argument $argument is passed as it is", ({ argument, line }) => {
  const unit = renderUnit({ ...DEFAULT_UNIT_OPTIONS, command: ["/usr/bin/svcproxy", argument] });
  expect(unit).toContain(`\nExecStart=/usr/bin/svcproxy ${line}\n`);
});

const reason = whyNoKernelTests(["systemd-analyze"]);

describe.skipIf(reason !== undefined)(`the package's units${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for(["svcproxy.service", "svcproxy-apply.service", "svcproxy-register@.service"])(
    "systemd finds no fault in %s",
    (name) => {
      const folder = mkdtempSync(join(tmpdir(), "svcproxy-unit-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, name.replace("@", "@web"));
      writeFileSync(file, unitFile(name).replaceAll("/usr/bin/svcproxy", process.execPath));
      expect(execFileSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8", stdio: "pipe" })).toBe(
        "",
      );
    },
  );
});

test("the one-shot unit comes behind the programs that flush rules, and again when they are reloaded or restarted", () => {
  const unit = unitFile("svcproxy-apply.service");
  const firewalls = "nftables.service firewalld.service docker.service";
  for (const line of [
    `After=network-online.target ${firewalls}`,
    `ReloadPropagatedFrom=${firewalls}`,
    `PartOf=${firewalls}`,
    `WantedBy=multi-user.target ${firewalls}`,
  ])
    expect(unit).toContain(`\n${line}\n`);
  const [start, reload] = ["ExecStart", "ExecReload"].map((key) => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1]);
  expect(reload).toBe(start);
});

function unitFile(name: string): string {
  return readFileSync(new URL(`../../systemd/${name}`, import.meta.url), "utf8");
}

test.skipIf(reason !== undefined)(`systemd finds no fault in it${reason === undefined ? "" : ` (${reason})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-unit-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "svcproxy-userspace.service");
  const command = [process.execPath, "a b", "100%", "$x"];
  writeFileSync(
    file,
    renderUnit({ ...DEFAULT_UNIT_OPTIONS, command, reloadCommand: command, cleanupCommand: command }),
  );
  expect(execFileSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8", stdio: "pipe" })).toBe("");
});
