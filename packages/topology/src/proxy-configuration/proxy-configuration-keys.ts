/**
 * Every key of a KubeProxyConfiguration; those of a section with what it may hold. A section without a list may hold anything.
 * @see kubernetes staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go
 */
export const CONFIGURATION_KEYS: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ["apiVersion", []],
  ["kind", []],
  ["metadata", []],
  ["featureGates", []],
  ["logging", []],
  ["clientConnection", ["kubeconfig", "acceptContentTypes", "contentType", "qps", "burst"]],
  ["hostnameOverride", []],
  ["bindAddress", []],
  ["healthzBindAddress", []],
  ["metricsBindAddress", []],
  ["bindAddressHardFail", []],
  ["enableProfiling", []],
  ["showHiddenMetricsForVersion", []],
  ["mode", []],
  [
    "iptables",
    ["masqueradeBit", "masqueradeAll", "localhostNodePorts", "snatNodeInternalIP", "syncPeriod", "minSyncPeriod"],
  ],
  [
    "ipvs",
    [
      ...["syncPeriod", "minSyncPeriod", "scheduler", "excludeCIDRs", "strictARP"],
      ...["tcpTimeout", "tcpFinTimeout", "udpTimeout"],
    ],
  ],
  ["nftables", ["masqueradeBit", "masqueradeAll", "syncPeriod", "minSyncPeriod"]],
  ["winkernel", ["networkName", "sourceVip", "enableDSR", "rootHnsEndpointName", "forwardHealthCheckVip"]],
  ["detectLocalMode", []],
  ["detectLocal", ["bridgeInterface", "interfaceNamePrefix"]],
  ["clusterCIDR", []],
  ["nodePortAddresses", []],
  ["oomScoreAdj", []],
  [
    "conntrack",
    [
      ...["maxPerCore", "min", "tcpEstablishedTimeout", "tcpCloseWaitTimeout", "tcpBeLiberal"],
      ...["udpTimeout", "udpStreamTimeout"],
    ],
  ],
  ["configSyncPeriod", []],
  ["portRange", []],
  ["windowsRunAsService", []],
  // Of versions before 1.26.
  ["udpIdleTimeout", []],
  ["resourceContainer", []],
]);

/** The keys that svcproxy uses: at the top, and in the sections that count in each mode. */
export const USED_KEYS: Readonly<Record<"" | "iptables" | "nftables" | "ipvs", readonly string[]>> = {
  "": ["apiVersion", "kind", "mode", "clusterCIDR", "detectLocal", "detectLocalMode", "nodePortAddresses"],
  iptables: [
    ...["iptables.masqueradeBit", "iptables.masqueradeAll", "iptables.localhostNodePorts"],
    ...["detectLocal.bridgeInterface", "detectLocal.interfaceNamePrefix"],
  ],
  nftables: [
    ...["nftables.masqueradeBit", "nftables.masqueradeAll"],
    ...["detectLocal.bridgeInterface", "detectLocal.interfaceNamePrefix"],
  ],
  ipvs: [
    ...["iptables.masqueradeBit", "iptables.masqueradeAll"],
    ...["detectLocal.bridgeInterface", "detectLocal.interfaceNamePrefix"],
  ],
};
