import { EndedTool, type ToolRunner } from "@svcproxy/host";
import { expect, test } from "vitest";
import { KernelTables } from "./kernel-tables.ts";

const { signal } = new AbortController();

/** An nft that refuses what `refuses` says. */
function nft(refuses: (input: string) => string | undefined): ToolRunner & { readonly inputs: string[] } {
  const inputs: string[] = [];
  const run: ToolRunner = async (_tool, args, { input = "" } = {}) => {
    if (args.includes("--version")) return { exitCode: 0, stdout: "nftables v0.9.3 (Topsy)\n", stderr: "" };
    inputs.push(input);
    const stderr = refuses(input);
    return stderr === undefined ? { exitCode: 0, stdout: "", stderr: "" } : { exitCode: 1, stdout: "", stderr };
  };
  return Object.assign(run, { inputs });
}

test("a table with everything in it is checked once, by a run that changes nothing", async () => {
  const run = nft(() => undefined);
  const tables = new KernelTables({ run });
  await tables.requireSupport(4, { signal });
  await tables.requireSupport(4, { signal });
  expect(run.inputs).toHaveLength(1);
  expect(run.inputs[0]).toMatch(/^table ip svcproxy-probe \{/);
});

test("what is missing is named with the versions that have it", async () => {
  const run = nft((input) => (/\btypeof\b/.test(input) ? "Error: syntax error, unexpected string" : undefined));
  await expect(new KernelTables({ run }).requireSupport(6, { signal })).rejects.toMatchObject({
    code: "NFT_UNSUPPORTED",
    message: expect.stringMatching(
      /^Cannot keep services in nftables: nft 0\.9\.3 on Linux \S+ lacks maps of expressions \(nft 0\.9\.4\), .*maps that packets write \(nft 1\.0\.1\)$/,
    ),
    hint: expect.stringContaining("nft 1.0.6"),
  });
});

test("where only all of it together is refused, nft's words are told", async () => {
  const run = nft((input) =>
    input.length > 1000 ? "/dev/stdin:1:1-2: Error: Could not process rule: Out of ideas" : undefined,
  );
  await expect(new KernelTables({ run }).requireSupport(4, { signal })).rejects.toMatchObject({
    code: "NFT_UNSUPPORTED",
    message: expect.stringMatching(/does not take our table: Could not process rule: Out of ideas$/),
  });
});

test("who has no right is told so", async () => {
  const run = nft(() => "Operation not permitted (you must be root)");
  await expect(new KernelTables({ run }).requireSupport(4, { signal })).rejects.toMatchObject({ code: "NEEDS_ROOT" });
});

test("an nft that crashes on another version's sets is told with the table that holds them", async () => {
  const run: ToolRunner = async (tool, args) => {
    const stdout = {
      "list chains": "table inet other {\n\tchain c {\n\t}\n}\ntable ip nat {\n\tchain PREROUTING {\n\t}\n}\n",
      "--version": "nftables v1.0.6 (Lester Gooch #5)\n",
      "list table ip nat": "",
    }[args.join(" ")];
    if (stdout === undefined) throw new EndedTool(tool, "SIGSEGV");
    return { exitCode: 0, stdout, stderr: "" };
  };
  const expected = {
    code: "NFT_CRASHED",
    message:
      "nft 1.0.6 was ended by SIGSEGV while it read table inet other: it holds sets that another version of nft wrote, which this one cannot read; it does not tell which version that was",
    hint: expect.stringContaining("Remove table inet other with the version of nft that wrote it"),
  };
  const tables = new KernelTables({ run });
  await expect(tables.requireSupport(4, { signal })).rejects.toMatchObject(expected);
  await expect(tables.commit([{ kind: "removal", family: 4 }])).rejects.toMatchObject(expected);
});

test.for([
  ["Error: Could not process rule: No such file or directory", true],
  ["Error: Could not process rule: File exists", true],
  ["Error: Could not process rule: Device or resource busy", true],
  ["Error: Could not process rule: Cannot allocate memory", false],
] as const)("%s: the table is to be read again: %s", async ([stderr, isMismatch]) => {
  const run: ToolRunner = async () => ({ exitCode: 1, stdout: "", stderr: `/dev/stdin:1:1-8: ${stderr}\n` });
  await expect(new KernelTables({ run }).commit([{ kind: "removal", family: 4 }])).rejects.toMatchObject({
    code: "NFT_REFUSED",
    isMismatch,
  });
});
