import type { Fault } from "../errors.ts";
import { DEFAULT_NODE_SETTINGS, type NodeSettings } from "../model.ts";
import { kubeProxyDefaults, type ParsedProxyConfiguration } from "./parse-proxy-configuration.ts";

/**
 * The settings of the data path: those of kube-proxy's configuration, where there is one, then those that the input sets itself, then
 * defaults: kube-proxy's own of its mode with such a configuration, svcproxy's without. Whatever data path then carries them out.
 */
export function configureNode(
  own: Partial<NodeSettings>,
  configuration: ParsedProxyConfiguration | undefined,
): { readonly node: NodeSettings; readonly warnings: readonly Fault[] } {
  if (configuration === undefined) return { node: { ...DEFAULT_NODE_SETTINGS, ...own }, warnings: [] };
  const { mode, settings, warnings } = configuration;
  const defaults = kubeProxyDefaults(mode);
  const isLeftOpen = (key: keyof NodeSettings) => settings[key] === undefined && own[key] === undefined;
  const node = { ...defaults, ...own, ...settings };
  const said = DIFFERENCES.filter(({ key, differs }) => isLeftOpen(key) && differs(node, defaults));
  return {
    node,
    warnings: [
      ...warnings,
      ...said.map(
        ({ told, key, mend }): Fault => ({
          severity: "warning",
          code: "KUBE_PROXY_DEFAULT",
          message: `${told}: that is kube-proxy's default${key === "detectLocal" ? "" : ` in ${mode} mode`}, and not svcproxy's`,
          hint: mend,
          path: [key],
        }),
      ),
    ],
  };
}

/** Where kube-proxy's defaults differ from svcproxy's own. */
const DIFFERENCES: readonly {
  readonly key: keyof NodeSettings;
  differs(node: NodeSettings, defaults: NodeSettings): boolean;
  readonly told: string;
  readonly mend: string;
}[] = [
  {
    key: "localhostNodePorts",
    differs: (_node, { localhostNodePorts }) => localhostNodePorts,
    told: "NodePorts are served on 127.0.0.0/8 too",
    mend: "Set `iptables.localhostNodePorts: false` to leave loopback alone",
  },
  {
    key: "nodePortAddresses",
    differs: (_node, { nodePortsOnPrimaryAddress }) => nodePortsOnPrimaryAddress,
    told: "NodePorts are served on the host's primary address of each family only",
    mend: "Set `nodePortAddresses: [all]` to serve them on every address",
  },
  {
    key: "detectLocal",
    // With a clusterCIDR svcproxy tells pods by it too.
    differs: ({ clusterCIDRs }) => clusterCIDRs.length === 0,
    told: "Pods are told by clusterCIDR, of which there is none, so that nobody is told from other clients",
    mend: "Set `detectLocalMode: NodeCIDR` to tell pods by the host's podCIDR, or give clusterCIDR",
  },
];
