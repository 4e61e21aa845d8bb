import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordedCase, recordedCases, recordedConfigurationText } from "@svcproxy/nftables/testing";
import { afterAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

const folder = mkdtempSync(join(tmpdir(), "svcproxy-recorded-"));
afterAll(() => rmSync(folder, { recursive: true }));

function configuration(name: string, mode: "iptables" | "nftables"): string {
  const file = join(folder, `${name}-${mode}.yaml`);
  writeFileSync(file, recordedConfigurationText(name, mode));
  return file;
}

describe.for(recordedCases())("of %s", (name) => {
  const { objects, saved, listing } = recordedCase(name);

  test.for([
    { mode: "iptables", rules: saved },
    { mode: "nftables", rules: listing },
  ] as const)("every claim holds on what kube-proxy wrote in $mode mode", async ({ mode, rules }) => {
    const argv = ["prove", objects, "--config", configuration(name, mode), "--host", "node1", "--rules", rules];
    const { stdout, exitCode } = await runInMemory([...argv, "--json"]);
    const { proofs } = JSON.parse(stdout);
    const unheld = proofs.flatMap(
      ({ family, claims }: { family: number; claims: { status: string; title: string }[] }) =>
        claims.flatMap((claim) => (claim.status === "held" ? [] : [{ family, ...claim }])),
    );
    expect(unheld).toEqual([]);
    expect(proofs.length).toBeGreaterThan(0);
    expect(exitCode).toBe(0);
  });
});
