import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  type HostPlan,
  loadInput,
  type ParsedProxyConfiguration,
  parseCidr,
  parseProxyConfiguration,
  planHost,
  readInput,
  type Topology,
} from "@svcproxy/topology";

/** What a real kube-proxy 1.37.2 wrote, a folder for each set of objects; its node is `node1`. */
const FOLDER = resolve(import.meta.dirname, "../../golden/kube-proxy");

/** The names of all sets of objects. */
export function recordedCases(): readonly string[] {
  return readdirSync(FOLDER)
    .filter((name) => existsSync(join(FOLDER, name, "objects.json")))
    .sort();
}

export interface RecordedCase {
  readonly topology: Topology;
  /** Of node1, with kube-proxy's configuration in nftables mode. */
  readonly plan: HostPlan;
  /** The files: objects, what iptables-save and ip6tables-save printed, what `nft list ruleset` printed. */
  readonly objects: string;
  readonly saved: string;
  readonly listing: string;
}

export function recordedCase(name: string, mode: "iptables" | "nftables" = "nftables"): RecordedCase {
  const [objects, saved, listing] = ["objects.json", "iptables.txt", "nft.txt"].map((file) => join(FOLDER, name, file));
  if (objects === undefined || saved === undefined || listing === undefined) throw new TypeError("no files");
  const { topology } = readInput(loadInput([{ file: objects, bytes: readFileSync(objects) }]), {
    configuration: recordedConfiguration(name, mode),
    allowExternalIPs: ["0.0.0.0/0", "::/0"].flatMap((block) => parseCidr(block) ?? []),
  });
  return { topology, plan: planHost(topology, { host: "node1" }), objects, saved, listing };
}

/** What kube-proxy was told: the flags of all cases, and those that a case has of its own. */
export function recordedConfigurationText(name: string, mode: "iptables" | "nftables"): string {
  const own = join(FOLDER, name, "config.yaml");
  const further = existsSync(own) ? readFileSync(own, "utf8") : "";
  return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: node1
mode: ${mode}
${further.includes("detectLocalMode") ? "" : "detectLocalMode: ClusterCIDR\nclusterCIDR: 10.244.0.0/16,fd00:10:244::/56\n"}${further}`;
}

function recordedConfiguration(name: string, mode: "iptables" | "nftables"): ParsedProxyConfiguration {
  return parseProxyConfiguration({
    file: "config.yaml",
    bytes: Buffer.from(recordedConfigurationText(name, mode)),
  });
}
