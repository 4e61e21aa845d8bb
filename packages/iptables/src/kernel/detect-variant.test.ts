import { problemSentence } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { chooseVariant, type VariantSurvey } from "./detect-variant.ts";

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
