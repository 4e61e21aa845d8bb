import { MemoryMachine, type MemoryTool } from "@svcproxy/host/testing";
import { problemSentence } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { chooseVariant, detectVariant, type VariantSurvey } from "./detect-variant.ts";

const nothing = { ruleCount: 0, hasOurMarker: false, hasKubeletHint: false };
const nft: VariantSurvey = { tools: { variant: "nft", suffix: "-nft" }, isDefault: true, ...nothing };
const legacy: VariantSurvey = { tools: { variant: "legacy", suffix: "-legacy" }, isDefault: false, ...nothing };

test.for([
  { name: "no rules anywhere", surveys: [nft, legacy], chosen: "nft", reason: /system's default/ },
  { name: "only one variant", surveys: [legacy], chosen: "legacy", reason: /only one/ },
  {
    name: "more rules in legacy",
    surveys: [
      { ...nft, ruleCount: 1 },
      { ...legacy, ruleCount: 2 },
    ],
    chosen: "legacy",
    reason: /nft 1, iptables-legacy 2/,
  },
  {
    name: "as many in both",
    surveys: [
      { ...nft, ruleCount: 2 },
      { ...legacy, ruleCount: 2 },
    ],
    chosen: "nft",
    reason: /as many/,
  },
  {
    name: "a kubelet's hint weighs more",
    surveys: [
      { ...nft, ruleCount: 9 },
      { ...legacy, hasKubeletHint: true },
    ],
    chosen: "legacy",
    reason: /kubelet/,
  },
  {
    name: "our own rules weigh most",
    surveys: [
      { ...nft, ruleCount: 9, hasKubeletHint: true },
      { ...legacy, hasOurMarker: true },
    ],
    chosen: "legacy",
    reason: /our rules/,
  },
  {
    name: "asked for",
    surveys: [{ ...nft, ruleCount: 9 }, legacy],
    wanted: "legacy" as const,
    chosen: "legacy",
    reason: /--variant/,
  },
])("$name: $chosen", ({ surveys, wanted, chosen, reason }) => {
  const choice = chooseVariant(surveys, wanted);
  expect(choice.tools.variant).toBe(chosen);
  expect(choice.reason).toMatch(reason);
});

test("where both hold rules, the other one is warned of", () => {
  const sentence = (legacySurvey: VariantSurvey, wanted?: "nft") => {
    const { problem } = chooseVariant([{ ...nft, ruleCount: 3 }, legacySurvey], wanted);
    return problem === undefined ? undefined : problemSentence(problem);
  };
  expect(sentence({ ...legacy, ruleCount: 2 })).toMatch(/iptables-legacy holds 2 rules too/);
  expect(sentence({ ...legacy, ruleCount: 2, hasOurMarker: true }, "nft")).toMatch(/cleanup --variant legacy/);
  expect(sentence(legacy)).toBeUndefined();
});

test("a variant that the machine does not have is an error that names those it has", () => {
  expect(() => chooseVariant([nft], "legacy")).toThrow(
    expect.objectContaining({ code: "VARIANT_MISSING", hint: expect.stringContaining("iptables-nft") }),
  );
});

const { signal } = new AbortController();
const prints =
  (stdout: string): MemoryTool =>
  () => ({ exitCode: 0, stdout, stderr: "" });
const NFT = prints("iptables v1.8.9 (nf_tables)\n");
const EMPTY = prints("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n");
const OURS = prints("*nat\n:SVCPROXY-OWNS - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n");

test.for([
  {
    name: "the one where our rules live",
    tools: { iptables: NFT, "iptables-nft-save": EMPTY, "iptables-legacy-save": OURS },
    found: ["legacy -legacy 1 true", "nft -nft 0 false"],
  },
  {
    name: "the plain one, where it has no name of its own",
    tools: { iptables: NFT, "iptables-save": EMPTY, "ip6tables-save": OURS },
    found: ["nft  1 true"],
  },
  {
    name: "the other, where the kernel does not have one",
    tools: {
      "iptables-nft-save": EMPTY,
      "iptables-legacy-save": () => ({ exitCode: 3, stdout: "", stderr: "can't initialize iptables table\n" }),
    },
    found: ["nft -nft 0 false", "legacy -legacy 0 false"],
  },
])("of a machine's variants is taken $name", async ({ tools, found }) => {
  const { available } = await detectVariant({ signal, machine: new MemoryMachine({ tools }) });
  const told = available.map(({ tools: { variant, suffix }, ruleCount, hasOurMarker }) =>
    [variant, suffix, ruleCount, hasOurMarker].join(" "),
  );
  expect(told).toEqual(found);
});

test("a machine without any says what to install, and one that may not be asked what is needed", async () => {
  await expect(detectVariant({ signal, machine: new MemoryMachine() })).rejects.toMatchObject({
    code: "MISSING_TOOL",
    hint: expect.stringContaining("apt-get install iptables"),
  });
  const denied: MemoryTool = () => ({ exitCode: 4, stdout: "", stderr: "Permission denied (you must be root)\n" });
  const machine = new MemoryMachine({ tools: { "iptables-nft-save": denied, "iptables-legacy-save": denied } });
  await expect(detectVariant({ signal, machine })).rejects.toMatchObject({ code: "NEEDS_ROOT" });
});
