import { exampleTopology, planHost } from "@svcproxy/topology";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import { FIREWALL_MARK, hookMark, isMark, isOwnChain, MARKER_CHAIN, readStyle, styleMark } from "./own-chains.ts";

test.for(["document", "kubernetes"] as const)(
  "cleanup knows every chain that the %s dialect makes, by its name",
  (dialect) => {
    const plan = planHost(exampleTopology().topology, { host: "cloudos1" });
    for (const dispatch of ["linear", "tree"] as const) {
      const chains = compileRules(plan, { dialect, family: 4, dispatch }).tables.flatMap((table) => table.chains);
      expect(chains.filter(({ name }) => !isOwnChain(name, new Set([MARKER_CHAIN, FIREWALL_MARK])))).toEqual([]);
    }
  },
);

test.for([
  "KUBE-KUBELET-CANARY",
  "KUBE-IPTABLES-HINT",
  "KUBE-MARK-DROP",
  "DOCKER",
  "kube-services",
  "SVCPROXY",
  "INPUT",
])("%s is not ours", (name) => {
  expect(isOwnChain(name, new Set())).toBe(false);
});

test.for([
  { name: "alone it is what a kube-proxy left", beside: [], isOurs: false },
  { name: "that somebody typed in as a plan has it is ours", beside: ["KUBE-SERVICES"], isOurs: true },
  { name: "that came before our rules is not", beside: [MARKER_CHAIN, "KUBE-SERVICES"], isOurs: false },
  { name: "that we made is", beside: [MARKER_CHAIN, FIREWALL_MARK], isOurs: true },
  { name: "beside a kubelet is the kubelet's", beside: ["KUBE-SERVICES", "KUBE-KUBELET-CANARY"], isOurs: false },
  {
    name: "that we made is a kubelet's once there is one",
    beside: [MARKER_CHAIN, FIREWALL_MARK, "KUBE-KUBELET-CANARY"],
    isOurs: false,
  },
])("KUBE-FIREWALL $name", ({ beside, isOurs }) => {
  expect(isOwnChain("KUBE-FIREWALL", new Set(["KUBE-FIREWALL", ...beside]))).toBe(isOurs);
});

test.for([
  { name: "that a plan has are ours", beside: [MARKER_CHAIN], isOurs: true },
  { name: "that a kube-proxy leaves are", beside: ["KUBE-SERVICES", "KUBE-MARK-DROP"], isOurs: true },
  { name: "beside a kubelet of today, which has none, are", beside: ["KUBE-KUBELET-CANARY"], isOurs: true },
  {
    name: "that a kubelet up to 1.27 makes are not",
    beside: [MARKER_CHAIN, "KUBE-SERVICES", "KUBE-KUBELET-CANARY", "KUBE-MARK-DROP"],
    isOurs: false,
  },
])("KUBE-MARK-MASQ and KUBE-POSTROUTING $name", ({ beside, isOurs }) => {
  for (const name of ["KUBE-MARK-MASQ", "KUBE-POSTROUTING"])
    expect(isOwnChain(name, new Set([name, ...beside]))).toBe(isOurs);
});

test("a mark is a chain name that iptables takes, and tells rules, chains and equal rules of others apart", () => {
  fc.assert(
    fc.property(fc.constantFrom("POSTROUTING", "OUTPUT"), fc.nat(0xffffffff), fc.nat(12), (chain, value, foreign) => {
      const rule = {
        matches: [{ kind: "mark", negated: false, value, mask: 0xffffffff }],
        target: { kind: "masquerade", random: false, randomFully: false },
      } as const;
      const mark = hookMark(chain, rule, foreign);
      expect(mark.length).toBeLessThanOrEqual(28);
      expect(isMark(mark) && mark !== MARKER_CHAIN).toBe(true);
      expect(hookMark("INPUT", rule, foreign)).not.toBe(mark);
    }),
    { numRuns: 50 },
  );
});

test("how rules are written is told by the name of a mark", () => {
  for (const dialect of ["document", "kubernetes"] as const) {
    for (const dispatch of ["auto", "linear", "tree"] as const) {
      const mark = styleMark({ dialect, dispatch });
      expect(mark.length).toBeLessThanOrEqual(28);
      expect(isMark(mark)).toBe(true);
      expect(readStyle(["INPUT", MARKER_CHAIN, "KUBE-SERVICES", mark])).toEqual({ dialect, dispatch });
    }
  }
  expect(readStyle([MARKER_CHAIN, `${MARKER_CHAIN}-fd252cb2060e`, "OUTPUT"])).toBeUndefined();
});
