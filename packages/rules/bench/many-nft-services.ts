/** What `nft list ruleset` prints of so many services, as kube-proxy's nftables mode writes them. */
export function manyNftServices(services: readonly NftService[], { podBlock }: { readonly podBlock: string }): string {
  const elements = services.map(({ vip }, at) => `${vip} . tcp . 80 : goto service-${at}`);
  const hairpins = services.flatMap(({ local }) => local.map((pod) => `${pod} . ${pod} . tcp . 8080`));
  const chains = services.map(({ pods }, at) => {
    const to = pods.map((pod, place) => `${place} : ${pod} . 8080`).join(", ");
    return `\tchain service-${at} {\n\t\tmeta l4proto tcp dnat ip to numgen random mod ${pods.length} map { ${to} }\n\t}`;
  });
  return `table ip kube-proxy {
	set hairpin-connections {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
		elements = { ${hairpins.join(",\n\t\t\t     ")} }
	}
	set cluster-ips {
		type ipv4_addr
		elements = { ${services.map(({ vip }) => vip).join(",\n\t\t\t     ")} }
	}
	map no-endpoint-services {
		type ipv4_addr . inet_proto . inet_service : verdict
	}
	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { ${elements.join(",\n\t\t\t     ")} }
	}
${chains.join("\n")}
	chain filter-input {
		type filter hook input priority filter; policy accept;
		ct state new jump service-endpoints-check
	}
	chain filter-forward {
		type filter hook forward priority filter; policy accept;
		ct state new jump service-endpoints-check
		ct state new jump cluster-ips-check
	}
	chain filter-output {
		type filter hook output priority filter; policy accept;
		ct state new jump service-endpoints-check
		ct state new jump cluster-ips-check
	}
	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump services
	}
	chain nat-output {
		type nat hook output priority -100; policy accept;
		jump services
	}
	chain nat-postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		jump masquerading
	}
	chain service-endpoints-check {
		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
	}
	chain services {
		ip daddr @cluster-ips ip saddr != ${podBlock} meta mark set meta mark | 0x00004000
		ip daddr . meta l4proto . th dport vmap @service-ips
	}
	chain masquerading {
		meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random
		ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random
	}
	chain cluster-ips-check {
		ip daddr @cluster-ips reject
	}
}
`;
}

export interface NftService {
  readonly vip: string;
  readonly pods: readonly string[];
  /** Those of its pods that are on this host. */
  readonly local: readonly string[];
}
