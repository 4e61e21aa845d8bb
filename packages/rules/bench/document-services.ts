/** What iptables-save prints of so many services as the founding document writes them, each with one endpoint on each host. */
export function documentServices(
  services: readonly { readonly vip: string; readonly pods: readonly string[] }[],
): string {
  const chains = ["KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"];
  const dispatch: string[] = [];
  const rules = [
    "-A PREROUTING -j KUBE-SERVICES",
    "-A OUTPUT -j KUBE-SERVICES",
    "-A POSTROUTING -s 192.168.1.1/32 -j MASQUERADE",
    "-A POSTROUTING -j KUBE-POSTROUTING",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0xffffffff",
    "-A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE",
  ];
  for (const [service, { vip, pods }] of services.entries()) {
    chains.push(`KUBE-SVC-${service}`);
    dispatch.push(`-A KUBE-SERVICES -d ${vip}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-${service}`);
    for (const [endpoint, pod] of pods.entries()) {
      const chain = `KUBE-SEP-${service}-${endpoint}`;
      const left = pods.length - endpoint;
      const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
      chains.push(chain);
      rules.push(
        `-A KUBE-SVC-${service}${chance} -j ${chain}`,
        `-A ${chain} -s ${pod}/32 -j KUBE-MARK-MASQ`,
        `-A ${chain} -p tcp -m tcp -j DNAT --to-destination ${pod}:8080`,
      );
    }
  }
  const builtIn = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((chain) => `:${chain} ACCEPT [0:0]`);
  const lines = [...builtIn, ...chains.map((chain) => `:${chain} - [0:0]`), ...dispatch, ...rules];
  return ["*nat", ...lines, "COMMIT", ""].join("\n");
}
