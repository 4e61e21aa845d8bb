import type { Meaning } from "./explanation.ts";

/** Of what is less than well in a plan, a data path or on a host. */
export const PLAN_MEANINGS = {
  ENDPOINT_LOOP: {
    means:
      "An endpoint of a service is an address at which a service of the topology is dialled, and leads back to it.",
    remedy: "Name the pods that serve. Until then it is left out.",
  },
  ENDPOINT_CHAIN: {
    means:
      "An endpoint of a service is an address at which another service is dialled, so that connections pass through both.",
    remedy: "Name the endpoints of the other service, unless both are meant.",
  },
  HEALTH_CHECK_UNANSWERED: {
    means: "A service has a health check port for load balancers, and rules alone answer nobody.",
    remedy: "Let svcproxy run or svcproxy userspace keep the host: they answer it.",
  },
  PROXY_PROTOCOL_UNSENT: {
    means: "A service is to tell its servers the client's address by the PROXY protocol, which rules cannot send.",
    remedy:
      "Use svcproxy userspace for it, or leave proxyProtocol out: with rules, servers see most clients' own addresses.",
  },
  CHAIN_NOT_FOLLOWED: {
    means:
      "Rules translate an address once: an endpoint that is a frontend of this host is not followed to its own endpoints.",
    remedy: "Name the endpoints of the other service, or use svcproxy userspace.",
  },
  CLIENT_OUTSIDE_UNANSWERED: {
    means:
      "A client outside the hosts that dials a ClusterIP keeps its address, so an endpoint on another host answers it past this one.",
    remedy:
      "Let it dial a NodePort, or say how pods are told (node: of the topology file, or --config), so that all others are masqueraded.",
  },
  LOCALHOST_IPV6_UNSERVED: {
    means: "NodePorts on ::1 are not served by rules: the kernel does not translate it.",
    remedy: "Dial 127.0.0.1 or an address of the host.",
  },
  CLIENT_ADDRESS_HIDDEN: {
    means: "The userspace proxy dials endpoints itself, so they see this host's address in place of the client's.",
    remedy: "Set proxyProtocol on services whose servers understand it, or use rules.",
  },
  SCTP_UNSERVED: {
    means: "The userspace proxy does not serve SCTP.",
    remedy: "Rules serve it: svcproxy nftables or svcproxy iptables.",
  },
  SILENCE_IS_REFUSAL: {
    means: "Where a client is to get no answer (traffic policy Local), the userspace proxy refuses it instead.",
    remedy: "Use rules where that matters.",
  },
  PODS_TOLD_BY_SUBNET: {
    means: "What comes from a pod is told by its address alone, because this data path does not see devices.",
    remedy: "Nothing, unless pods' addresses are used outside.",
  },
  NUMBERS_EXHAUSTED: {
    means: "A table of nftables has no room for the groups of endpoints of one more service.",
    remedy: "Serve fewer services on this host, or use svcproxy iptables.",
  },
  ROUTE_LOCALNET_OFF: {
    means: "NodePorts on 127.0.0.1 get no answer: the kernel keeps these addresses on loopback.",
    remedy: "sysctl -w net.ipv4.conf.all.route_localnet=1, or dial an address of the host.",
  },
  SYSCTL_READ_ONLY: {
    means: "A setting of the kernel could not be written, as in most containers.",
    remedy: "Set it on the host, or run svcproxy run kubernetes --init-only there as root before.",
  },
  LOOPBACK_UNGUARDED: {
    means: "route_localnet is on, and no rule keeps neighbours off what listens on 127.0.0.1.",
    remedy: "sysctl -w net.ipv4.conf.all.route_localnet=0.",
  },
  UNMARKED_RULES: {
    means: "Chains of the names that we use were made by somebody else, for instance a kube-proxy.",
    remedy: "Stop that one first, or let apply take them by --adopt.",
  },
  OTHER_DATA_PATH: {
    means:
      "Rules of ours are in another data path too, and stay whatever becomes of the services; or a userspace proxy serves where rules were loaded.",
    remedy: "svcproxy iptables cleanup or svcproxy nftables cleanup, or apply --replace; or stop the userspace proxy.",
  },
  FOREIGN_DNAT_UNMET: {
    means:
      "A rule of another program translates an endpoint's address, and is not met by what comes through the service: a packet is translated once.",
    remedy: "Name the address to which that rule leads as the endpoint.",
  },
  FOREIGN_CHAIN_FIRST: {
    means: "A chain of another program is asked before ours, and takes or drops what goes to services.",
    remedy: "Leave the services' addresses out of its rule, or give its chain a later priority.",
  },
  FORWARDING_DROPPED: {
    means: "A chain of another program drops what is forwarded to endpoints.",
    remedy: "Insert ct status dnat accept before it.",
  },
  AFFINITY_TABLE_FULL: {
    means: "A map that remembers which client belongs to which endpoint had no room: new clients were balanced anew.",
    remedy: "Raise node.affinityTableSize of the topology file; a cluster has no setting for it.",
  },
  FOREIGN_CHANGE: {
    means: "Another program changed our table; it was made as planned again.",
    remedy: "nft monitor tells who writes to it.",
  },
  CHANGE_HELD: {
    means: "A change that takes away most of what is served waits.",
    remedy: "svcproxy confirm if it is meant; else mend the source.",
  },
  ENDPOINTS_STALE: {
    means: "Registered endpoints vanished without a word, too many at once or right after etcd was away, and are kept.",
    remedy: "svcproxy confirm lets them go; they go by themselves where they do not return soon.",
  },
  CANARY_FIRST: {
    means: "A revision is applied by the canary hosts first, and here a little later.",
    remedy: "Wait, or svcproxy confirm.",
  },
  CANARY_DEGRADED: {
    means: "A revision is held up here because a host that applied it first is not well.",
    remedy: "Mend the entries, or svcproxy confirm.",
  },
  CANARY_SILENT: {
    means: "A canary host wrote no status, so changes are applied without its word.",
    remedy: "Run svcproxy run etcd:// there, or take it out of canaryHosts.",
  },
  SOURCE_STALE: {
    means: "The source gave no sign of life for a minute; what it last said stays in force.",
    remedy: "Look whether the API server, etcd or the network on the way answers.",
  },
  KUBE_PROXY_BESIDE: {
    means: "A kube-proxy still runs here while svcproxy takes its place.",
    remedy: "Take its pod from this node, as deploy/kubernetes does.",
  },
  KUBE_PROXY_BACK: {
    means: "A kube-proxy that had been replaced runs again; its rules are left alone meanwhile.",
    remedy: "Take its pod from this node, or svcproxy run kubernetes --give-back.",
  },
  VIP_NOT_LOCAL: {
    means: "A VIP could not be put on a device of this host, so that programs here do not reach it.",
    remedy: "The text says why; often the rights are missing (CAP_NET_ADMIN).",
  },
  VIP_LEFT_BEHIND: {
    means: "A VIP that is served no more could not be taken from its device.",
    remedy: "ip addr del it from that device by hand.",
  },
  VIP_REACHES_PROGRAMS: {
    means: "VIPs lead to programs of this host that listen on all addresses, besides the services.",
    remedy: "Run svcproxy with the rights to isolate them, or let these programs listen on addresses of their own.",
  },
  HOST_PART_UNREAD: {
    means: "A part of a host's state could not be read, so what hangs on it is not known.",
    remedy: "The text says which right or tool is missing; mostly: run it as root.",
  },
  PORT_IN_USE: {
    means: "Another program listens where a service is to be served.",
    remedy: "End it, or give the service another port or address.",
  },
  PORT_NOT_PERMITTED: {
    means: "This user may not listen on a port that low.",
    remedy: "Run it as root, give it CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start.",
  },
  CANNOT_LISTEN: {
    means: "The kernel refused to listen at an address of a service.",
    remedy: "The text says why; often the address is not here.",
  },
} as const satisfies Readonly<Record<string, Meaning>>;
