import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DEFAULT_NODE_SETTINGS } from "../model.ts";
import { planHost } from "../plan/plan-host.ts";
import { readInput } from "../read-input.ts";
import { loadInput } from "../text/load-documents.ts";
import { configureNode } from "./configure-node.ts";
import { parseProxyConfiguration } from "./parse-proxy-configuration.ts";

function configuration(text: string) {
  const header = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
  return parseProxyConfiguration({ file: "config.yaml", bytes: Buffer.from(header + text) });
}

test("without kube-proxy's configuration svcproxy's own defaults hold", () => {
  expect(configureNode({ masqueradeBit: 3 }, undefined)).toEqual({
    node: { ...DEFAULT_NODE_SETTINGS, masqueradeBit: 3 },
    warnings: [],
  });
});

describe("with it kube-proxy's of its mode do, and each that differs is said once", () => {
  test.for([
    { mode: "", localhost: true, primary: false, said: ["NodePorts are served on 127.0.0.0/8 too"] },
    { mode: "mode: iptables", localhost: true, primary: false, said: ["NodePorts are served on 127.0.0.0/8 too"] },
    { mode: "mode: nftables", localhost: false, primary: true, said: ["NodePorts are served on the host's primary"] },
    { mode: "mode: ipvs", localhost: false, primary: false, said: ["The configuration: mode: there is no IPVS"] },
  ])("$mode", ({ mode, localhost, primary, said }) => {
    const { node, warnings } = configureNode({}, configuration(`${mode}\nclusterCIDR: 10.0.0.0/8\n`));
    expect(node).toMatchObject({
      ...{ localhostNodePorts: localhost, nodePortsOnPrimaryAddress: primary, masqueradeAll: false, masqueradeBit: 14 },
      detectLocal: { mode: "ClusterCIDR" },
    });
    expect(warnings).toHaveLength(said.length);
    for (const [index, words] of said.entries()) expect(warnings[index]?.message).toContain(words);
  });

  test("without a clusterCIDR nobody is told from other clients", () => {
    const { node, warnings } = configureNode({}, configuration("iptables: { localhostNodePorts: false }"));
    expect(node.detectLocal).toEqual({ mode: "ClusterCIDR" });
    expect(warnings.map(({ code, message }) => [code, message])).toEqual([
      ["KUBE_PROXY_DEFAULT", expect.stringContaining("Pods are told by clusterCIDR, of which there is none")],
    ]);
  });
});

test("what the configuration sets goes over what the input sets, and that over any default", () => {
  const own = { localhostNodePorts: false, masqueradeBit: 3, masqueradeAll: true };
  const { node, warnings } = configureNode(
    own,
    configuration("clusterCIDR: 10.0.0.0/8\niptables: { masqueradeBit: 5 }"),
  );
  expect(node).toMatchObject({ localhostNodePorts: false, masqueradeBit: 5, masqueradeAll: true });
  expect(warnings).toEqual([]);
});

test("kubeadm's own configuration serves NodePorts on localhost, as its kube-proxy does", () => {
  const read = (name: string) => ({
    file: name,
    bytes: readFileSync(new URL(`../../golden/kubeadm/${name}`, import.meta.url)),
  });
  const { topology, warnings } = readInput(loadInput([read("objects.yaml")]), {
    configuration: parseProxyConfiguration(read("config.yaml")),
  });
  const plan = planHost(topology, { host: "n1" });
  expect(plan.nodePortAddresses).toEqual({
    4: { addresses: ["192.0.2.11", "127.0.0.1"], everyHostAddress: true },
    6: { addresses: [], everyHostAddress: true },
  });
  expect(warnings.map(({ code }) => code)).toContain("KUBE_PROXY_DEFAULT");
});
