import type { CauseCode } from "../cause-codes.ts";
import type { Explanation } from "./explanation.ts";

/** Of what the doctor finds. */
export const CAUSE_EXPLANATIONS: Readonly<Record<CauseCode, Explanation>> = {
  FORWARDING_OFF: {
    means:
      "The kernel of this host forwards no packets, so pods and clients from outside reach no endpoint beyond it; the host's own programs do.",
    evidence: "net.ipv4.ip_forward (IPv6: net.ipv6.conf.all.forwarding) is 0; IpInAddrErrors grows with each try.",
    remedy: "sysctl -w net.ipv4.ip_forward=1, and write it into /etc/sysctl.d.",
  },
  BRIDGE_PAST_NETFILTER: {
    means:
      "A bridge passes frames between its ports without asking rules. An answer from an endpoint on the client's own bridge keeps the endpoint's address, and the client drops it.",
    evidence:
      "net.bridge.bridge-nf-call-iptables is 0, or br_netfilter is not loaded; it fails only where client and endpoint share a bridge.",
    remedy: "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1.",
  },
  FOREIGN_RULE_DROPS: {
    means:
      "A rule or a policy of another program drops or refuses connections to services, before or after their address is translated.",
    evidence:
      "The rule at which the packet ends when it is followed through all rules of the host, iptables of both variants and every nftables table.",
    remedy:
      "Let translated connections through before it (iptables -I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT), or delete it.",
  },
  FOREIGN_DNAT_FIRST: {
    means:
      "A rule of another program translates the address that was dialled before the service proxy's rules are asked.",
    evidence: "The rule that takes the packet in nat PREROUTING or OUTPUT, and where it sends it.",
    remedy: "Delete that rule, or give the service another address or port.",
  },
  FOREIGN_RULE_REWRITES: {
    means:
      "A rule of another program changes the mark by which the source of connections is rewritten, so their answers do not come back.",
    evidence:
      "The rule that changes the mark, between the service proxy's rule that sets it and the one that reads it.",
    remedy: "Narrow that rule, or give the service proxy another bit: masqueradeBit.",
  },
  FOREIGN_RULE_UNTRACKS: {
    means:
      "A rule of another program keeps connections to services out of connection tracking (notrack), and what is not tracked is not translated: the packet goes on to the address that was dialled.",
    evidence: "The rule in raw PREROUTING or OUTPUT, or the notrack of an nftables chain, that takes the packet.",
    remedy: "Delete that rule, or leave the addresses of services out of it.",
  },
  RULES_MISSING: {
    means:
      "Nothing of a service proxy's rules takes what is dialled at services: they are not here, or nothing jumps to them.",
    evidence: "A packet to a service meets none of them; which of nat PREROUTING, OUTPUT and POSTROUTING jump to them.",
    remedy:
      "Let them be written again: svcproxy apply, or restart kube-proxy. An agent (svcproxy run) does so by itself.",
  },
  RULES_OUTDATED: {
    means:
      "The rules that are here serve another state: a rule of a service is gone, or an endpoint has another share than its own.",
    evidence: "Where a packet is sent by them, beside where the topology means it to go.",
    remedy:
      "svcproxy diff shows all of it; apply mends it. A service proxy that follows another source, or has stopped, is the cause behind it.",
  },
  TWO_PROXIES: {
    means:
      "Two service proxies have rules for the same services on this host: svcproxy beside a kube-proxy, or one of them beside what another way of serving left. The kernel asks one of them first; what the other one changes has no effect, or, where both write the same chains, is undone.",
    evidence:
      "Connections that the tables, chains or sockets of each take when they are asked alone; where they would send them, and who is asked first when all are.",
    remedy:
      "Keep one: take kube-proxy away (its pod, then kube-proxy --cleanup, or nft delete table ip kube-proxy once it is gone), or svcproxy (svcproxy cleanup).",
  },
  RULES_CONTESTED: {
    means:
      "Another program changes the same of what is svcproxy's again and again. Where it answers each mending within 2 s, svcproxy waits longer each time.",
    evidence:
      "What the agent of this host tells: how often it mended within half a minute, what, and who wrote it where that is known.",
    remedy: "Find out why it does so, and end one of the two.",
  },
  RULES_IN_BOTH_VARIANTS: {
    means:
      "Both variants of iptables, nft and legacy, have rules that take what is dialled at services. The kernel asks both, in the order in which they were loaded.",
    evidence: "The rule in the variant that the service proxy does not use.",
    remedy: "Delete it there: iptables-legacy -t nat -D …; empty tables that stay behind do no harm.",
  },
  MASQUERADE_MISSING: {
    means:
      "The source of a connection is not rewritten where it has to be: the endpoint answers past this host, or to an address of its own.",
    evidence:
      "The source with which the packet leaves, and the device; on the other host its reverse-path filter counts it.",
    remedy: "Let the rules in nat POSTROUTING be written again.",
  },
  REVERSE_PATH_FILTERED: {
    means: "The kernel drops what comes in by a device by which it would not answer.",
    evidence:
      "rp_filter of the device and of all; TcpExtIPReversePathFilter grows; the route to the sender names another device.",
    remedy: "Mend the route of one of the directions, or loosen the check: sysctl -w net.ipv4.conf.all.rp_filter=2.",
  },
  HAIRPIN_OFF: {
    means:
      "A pod that dials its own service would have to get the packet back by the bridge port by which it came, and that port sends none back.",
    evidence: "bridge -d link shows hairpin off; only connections of a pod to itself fail.",
    remedy: "bridge link set dev PORT hairpin on; for new pods hairpinMode in the CNI's configuration.",
  },
  ROUTE_MISSING: {
    means:
      "The host has no route of its own to the pods of another host, so their packets leave by the default route, or not at all.",
    evidence: "ip route get ENDPOINT names the default route's device, or none.",
    remedy: "Restart what makes these routes (flanneld), or add the route by hand.",
  },
  VIP_ROUTE_MISSING: {
    means: "The host's own programs cannot dial a service: a route is asked before any rule, and there is none.",
    evidence: "ip route get VIP is unreachable; IpOutNoRoutes grows; pods are fine.",
    remedy: "Give the host a default route, or one for the services' addresses.",
  },
  LINK_DOWN: {
    means: "A device by which pods are reached is down; its routes and neighbours went with it.",
    evidence: "ip link shows it down.",
    remedy: "ip link set DEVICE up, and restart what makes its routes.",
  },
  NEIGHBOUR_MISSING: {
    means: "The overlay has no MAC address for the host behind which pods are.",
    evidence: "ip neigh show dev flannel.1 has no entry for it, or one that failed.",
    remedy: "Restart flanneld, which keeps these entries.",
  },
  TUNNEL_ENTRY_MISSING: {
    means: "The overlay does not know to which host it is to send packets for a MAC address.",
    evidence: "bridge fdb show dev flannel.1 lacks the neighbour's MAC address; the device counts dropped packets.",
    remedy: "Restart flanneld; by hand bridge fdb add MAC dev flannel.1 dst HOST.",
  },
  TUNNEL_ADDRESS_MOVED: {
    means:
      "The other host's end of the overlay has another MAC address than the one that packets are sent to, and drops them.",
    evidence: "ip neigh here and ip link there differ; the device there counts packets for other hosts (otherhost).",
    remedy: "Restart flanneld on both hosts.",
  },
  TUNNEL_FILTERED: {
    means: "A firewall drops the packets in which the overlay carries others (udp 8472).",
    evidence: "The rule at which such a packet ends; the overlay sends and receives nothing.",
    remedy: "Open udp 8472 between the hosts.",
  },
  MTU_TOO_LARGE: {
    means:
      "The way to another host carries smaller packets than its device promises: small answers come, large ones hang.",
    evidence: "A small packet that may not be divided is answered, one as large as the device's MTU is not.",
    remedy: "Set the overlay's MTU to that of the underlay less 50 bytes.",
  },
  POD_GONE: {
    means: "The topology lists an endpoint whose address nobody has.",
    evidence: "It does not answer ARP, and no network namespace of its host has it.",
    remedy: "Find out why its source is old; start the pod, or take it out.",
  },
  POD_CUT_OFF: {
    means:
      "A network namespace of this host has the endpoint's address, and the device by which the host looks for it does not lead there.",
    evidence:
      "It does not answer ARP, or its MAC address is behind no port of the bridge, though a process is in a namespace that has the address.",
    remedy:
      "Restart the pod; by hand ip link set VETH master BRIDGE, or ip route add ADDRESS dev VETH where pods have routes of their own.",
  },
  NOTHING_LISTENS: {
    means: "The pod is there, and no program of it listens on the endpoint's port, or only on 127.0.0.1.",
    evidence: "The pod's own list of sockets, or a connection straight to it that was refused.",
    remedy: "Let the program listen on all addresses, or give the service the port that it listens on.",
  },
  LISTEN_QUEUE_FULL: {
    means:
      "The program listens and does not accept: the queue of its socket is full, and further connections are turned away.",
    evidence:
      "ListenOverflows of the pod, which grew while it was dialled; without a dial, more connections that wait than its socket has room for (ss -lnt in the pod), once some were turned away.",
    remedy: "Look at what the program does; it hangs, or is too slow.",
  },
  NO_READY_ENDPOINT: {
    means: "No endpoint of the service is ready, so its clients are refused at once, as they should be.",
    evidence: "The conditions of its endpoints.",
    remedy: "Look why its pods are not ready, or why the selector matches none.",
  },
  NO_LOCAL_ENDPOINT: {
    means: "The service's traffic policy is Local and this host has no endpoint of it: by design nobody answers here.",
    evidence: "The policy, and the hosts that have endpoints.",
    remedy: "Dial a host that has one, or set the policy to Cluster.",
  },
  CONNTRACK_FULL: {
    means: "The kernel tracks as many connections as it may; further ones are lost at random.",
    evidence:
      "nf_conntrack_count beside nf_conntrack_max; drop, early_drop and insert_failed of /proc/net/stat/nf_conntrack.",
    remedy: "Raise nf_conntrack_max, or find who opens so many.",
  },
  STALE_UDP_FLOWS: {
    means:
      "UDP flows that began before a change go on to an endpoint that is not one any more: a flow is translated once.",
    evidence: "Connection tracking's entries whose answering side is no endpoint of the service.",
    remedy: "conntrack -D of these flows; an agent does so with each change.",
  },
  NODE_PORT_TAKEN: {
    means: "A program of this host listens on a service's NodePort: one of the two is not reached.",
    evidence: "The socket and its process.",
    remedy: "Move one of them to another port.",
  },
  IPVS_LEFT_OVER: {
    means: "What a kube-proxy in IPVS mode made is still here and takes connections to services.",
    evidence: "The device kube-ipvs0 with addresses of services, or virtual services of IPVS.",
    remedy: "ipvsadm --clear && ip link delete kube-ipvs0, once no kube-proxy in IPVS mode runs.",
  },
  ROUTE_REFUSES: {
    means: "A route or a routing rule of this host refuses packets to an endpoint or to a service on purpose.",
    evidence: "A route of type blackhole, unreachable or prohibit that has the address, or such an ip rule.",
    remedy: "Delete that route or rule, where it was not meant for these addresses.",
  },
  POD_ROUTE_MISSING: {
    means:
      "A pod has no route to the one it is to answer, or to the services that it dials: its packets never leave it.",
    evidence: "/proc/PID/net/route of the pod: no route has the address, not even a default one.",
    remedy: "Restart the pod, or look why its CNI plug-in set no default route.",
  },
  ADDRESS_TWICE: {
    means:
      "The address of an endpoint is in use twice: packets for it go to whoever is nearer, or answers ARP first, and what is there changes from time to time.",
    evidence:
      "This host itself has the address of an endpoint that is a pod or on another host; or two ports of one bridge lead to namespaces that both have it.",
    remedy: "Take the address away where it does not belong; of two pods, restart the one that should not have it.",
  },
  ARP_OFF: {
    means: "A device by which pods or hosts are reached asks nobody for MAC addresses, so nothing can be sent to them.",
    evidence: "The flag NOARP of the device (ip link), and no permanent neighbours that would do instead.",
    remedy: "ip link set DEVICE arp on.",
  },
  LINK_DROPS: {
    means: "A device, or the queueing discipline on it, drops what it is to send or has received.",
    evidence: "Its counter of dropped packets grew while the endpoint behind it was dialled (ip -s link, tc -s qdisc).",
    remedy: "Look at the queueing discipline (tc qdisc del dev DEVICE root takes it away), or at the device's driver.",
  },
  NEIGHBOUR_WRONG: {
    means:
      "The host has a MAC address for a pod, written by hand or by a program, and nobody is there: such an entry is never asked for anew.",
    evidence: "ip neigh has the entry PERMANENT; the bridge has that MAC address behind none of its ports.",
    remedy: "ip neigh del ADDRESS dev DEVICE; the kernel then asks by ARP.",
  },
  TUNNEL_ENTRY_WRONG: {
    means: "The overlay sends what is for a host's pods to an address that this host does not have.",
    evidence: "bridge fdb show dev flannel.1: the entry's dst is none of the host's addresses in the topology.",
    remedy: "Restart flanneld; by hand bridge fdb replace MAC dev flannel.1 dst HOST.",
  },
  TUNNEL_DIFFERS: {
    means:
      "The ends of the overlay have another network number (VNI) or another port: neither takes what the other sends.",
    evidence: "ip -d link of both hosts.",
    remedy: "Give both hosts the same settings of the overlay, and restart what makes it.",
  },
  TUNNEL_SOURCE_MISSING: {
    means:
      "The overlay's device sends from an address that no device of its host has any more, so that nothing of it leaves: the host was given another address.",
    evidence: "ip -d link: the device's local address; ip address has it nowhere.",
    remedy: "Restart flanneld, which makes it anew; by hand ip link set flannel.1 type vxlan id VNI local ADDRESS.",
  },
  BRIDGE_PORT_CLOSED: {
    means:
      "A port of the pods' bridge is up and passes nothing on, so that the pod behind it is not reached; or ports are isolated from each other, and so are the pods behind them.",
    evidence: "bridge -d link shows the port in a state other than forwarding, or isolated.",
    remedy: "ip link set BRIDGE type bridge stp_state 0; bridge link set dev PORT isolated off.",
  },
  SOURCE_PORTS_USED_UP: {
    means:
      "The source of connections is rewritten, and no port is left for one more connection to the same endpoint: new ones are dropped.",
    evidence: "insert_failed of /proc/net/stat/nf_conntrack grows while connections get no answer.",
    remedy:
      "Let the rewriting rule use more ports (--to-ports), or more addresses; close connections that are not needed.",
  },
  RULES_LOCK_HELD: {
    means: "A program holds the lock of iptables all the time, so that no service proxy can change rules of iptables.",
    evidence: "/proc/locks names the process that holds /run/xtables.lock, at the start and at the end of the look.",
    remedy: "Look what that process does; where it hangs, end it.",
  },
  AGENT_GONE: {
    means:
      "The tables of services here were kept true by an svcproxy run that is gone. They serve on as they are for 7 days after it, and let every packet by after that.",
    evidence: "The table's lease, which nobody renews; no agent answers.",
    remedy: "Start it again (systemctl start svcproxy), or take what is left away: svcproxy cleanup.",
  },
  AGENT_BEHIND: {
    means: "The agent that keeps this host does not follow its source, so that rules stay as they were.",
    evidence: "What svcproxy status tells of its source, and since when.",
    remedy:
      "svcproxy status says what stands in the way: a source out of reach, a change that waits for svcproxy confirm.",
  },
  HOST_ADDRESS_MISSING: {
    means:
      "No device of this host has the address by which other hosts and their overlay know it, so nothing of theirs arrives.",
    evidence: "ip address lacks the address that the topology has for this host.",
    remedy: "Give the address back, and restart what makes routes; or write the new address into the topology.",
  },
};
