/** What iptables-save prints of so many services, as kube-proxy writes them: one rule each in KUBE-SERVICES. */
export function manyServices({ services, endpoints }: { services: number; endpoints: number }): string {
  const chains: string[] = [];
  const dispatch: string[] = [];
  const rules: string[] = [];
  for (let service = 0; service < services; service++) {
    const name = `KUBE-SVC-${String(service).padStart(16, "A")}`;
    const vip = `10.100.${service >> 8}.${service & 255}/32 -p tcp -m comment --comment "default/s${service} cluster IP" -m tcp --dport 80`;
    chains.push(`:${name} - [0:0]`);
    dispatch.push(`-A KUBE-SERVICES -d ${vip} -j ${name}`);
    rules.push(`-A ${name} ! -s 10.5.0.0/16 -d ${vip} -j KUBE-MARK-MASQ`);
    for (let index = 0; index < endpoints; index++) {
      const chain = `KUBE-SEP-${String(service * endpoints + index).padStart(16, "A")}`;
      const pod = (service + index) % 60_000;
      const ip = `10.5.${pod >> 8}.${pod & 255}`;
      const comment = `-m comment --comment "default/s${service} -> ${ip}:3000"`;
      const left = endpoints - index;
      const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
      chains.push(`:${chain} - [0:0]`);
      rules.push(`-A ${name} ${comment}${chance} -j ${chain}`);
      rules.push(`-A ${chain} -s ${ip}/32 -m comment --comment "default/s${service}" -j KUBE-MARK-MASQ`);
      rules.push(
        `-A ${chain} -p tcp -m comment --comment "default/s${service}" -m tcp -j DNAT --to-destination ${ip}:3000`,
      );
    }
  }
  return [
    "*nat",
    ...["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((chain) => `:${chain} ACCEPT [0:0]`),
    ...["KUBE-SERVICES", "KUBE-MARK-MASQ"].map((chain) => `:${chain} - [0:0]`),
    ...chains,
    "-A PREROUTING -j KUBE-SERVICES",
    "-A OUTPUT -j KUBE-SERVICES",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    ...dispatch,
    ...rules,
    "COMMIT",
    "",
  ].join("\n");
}
