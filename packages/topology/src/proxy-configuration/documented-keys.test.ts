import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FEATURE_GATES } from "./feature-gates.ts";
import { parseProxyConfiguration } from "./parse-proxy-configuration.ts";
import { CONFIGURATION_KEYS } from "./proxy-configuration-keys.ts";

const DOCUMENT = readFileSync(new URL("../../../../docs/kube-proxy-configuration.md", import.meta.url), "utf8");

/** The rows of both tables: what is said of each field and gate. */
const rows = new Map(
  [...DOCUMENT.matchAll(/^\| `([\w.]+)` \| (honoured|ignored|refused)/gm)].map(([, key = "", word]) => [key, word]),
);

const fields = [...CONFIGURATION_KEYS].flatMap(([key, parts]) =>
  parts.length === 0 ? [key] : parts.map((part) => `${key}.${part}`),
);

test("each field and each gate has its row, and no row is of nothing", () => {
  expect([...rows.keys()].sort()).toEqual([...fields, ...FEATURE_GATES.keys()].sort());
});

/** A value of each field that says something. */
const SAMPLES: Readonly<Record<string, string>> = {
  mode: "nftables",
  "iptables.masqueradeBit": "3",
  "iptables.masqueradeAll": "true",
  "iptables.localhostNodePorts": "true",
  "nftables.masqueradeBit": "3",
  "nftables.masqueradeAll": "true",
  detectLocalMode: "NodeCIDR",
  clusterCIDR: "10.0.0.0/8",
  nodePortAddresses: "[primary]",
  featureGates: "{ ComponentStatusz: true }",
  metadata: "{ name: x }",
  oomScoreAdj: "-5",
  healthzBindAddress: "127.0.0.1",
  metricsBindAddress: "127.0.0.1:9000",
  bindAddressHardFail: "true",
  "conntrack.maxPerCore": "1",
  "conntrack.min": "1",
  "conntrack.tcpBeLiberal": "true",
};

test.for(fields.filter((key) => !["apiVersion", "kind"].includes(key)))("%s is as its row says", (key) => {
  const [section = "", part] = key.split(".");
  const value = SAMPLES[key] ?? (/Timeout$/.test(key) ? "2m" : '"1s"');
  const header = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
  // A section counts in its own mode.
  const mode = section === "nftables" ? "mode: nftables\n" : "";
  const text = part === undefined ? `${section}: ${value}` : `${section}: { ${part}: ${value} }`;
  const { warnings } = parseProxyConfiguration(
    { file: "config.yaml", bytes: Buffer.from(`${header}${mode}${text}\n`) },
    { followsCluster: true },
  );
  const isIgnored = warnings.some(({ message }) => new RegExp(`no effect here: ${section}`).test(message));
  expect(isIgnored ? "ignored" : "honoured").toBe(rows.get(key));
});

test.for([...FEATURE_GATES.keys()])("the gate %s is named where it is set in vain", (gate) => {
  const told = [true, false].map((value) => {
    const text = `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nfeatureGates: { ${gate}: ${value} }\n`;
    const { warnings } = parseProxyConfiguration({ file: "c", bytes: Buffer.from(text) }, { followsCluster: true });
    return warnings.map(({ message }) => message);
  });
  const [on = [], off = []] = told;
  expect([...on, ...off].every((message) => message.includes(gate))).toBe(true);
  expect(on.length + off.length).toBe(FEATURE_GATES.get(gate)?.asIs === undefined ? 2 : 1);
});
