import type { Meaning } from "./explanation.ts";

/** Of faults in what files, clusters and etcd describe. */
export const INPUT_MEANINGS = {
  EMPTY_FILE: {
    means: "A file of the topology has nothing in it, or only comments.",
    remedy: "Start it with hosts:; svcproxy schema prints the format.",
  },
  CUT_OFF: {
    means:
      "A file that was followed says less than before, and ends as if it had been cut off. What it held before stays.",
    remedy: "Write it whole. If it is, end its last line with a line break, and write services: [] for none.",
  },
  NOT_UTF8: {
    means: "A file is not UTF-8 text.",
    remedy: "Save it as UTF-8.",
  },
  FILE_TOO_LARGE: {
    means: "A file is larger than may be.",
    remedy: "Leave out what no service needs.",
  },
  TOO_MANY_VALUES: {
    means: "A file has more lists, items and keys than may be.",
    remedy: "Leave out what no service needs.",
  },
  SYNTAX: {
    means: "A file is neither YAML nor JSON.",
    remedy: "The line and column say where it stops making sense.",
  },
  ALIAS_BOMB: {
    means: "Aliases and merges of a YAML file grow without end.",
    remedy: "Write the keys out.",
  },
  DUPLICATE_KEY: {
    means: "A key stands twice in one mapping.",
    remedy: "Take one away.",
  },
  TOO_MANY_FAULTS: {
    means: "There are more faults than are listed.",
    remedy: "Mend those that are listed first.",
  },
  SEVERAL_DOCUMENTS: {
    means: "There is more than one document where one is expected.",
    remedy: "Give each a file of its own.",
  },
  UNKNOWN_KEY: {
    means: "A key means nothing where it stands.",
    remedy: "Mostly it is misspelled; svcproxy schema prints those that there are.",
  },
  MISSING_KEY: {
    means: "A key is missing that has to be there.",
    remedy: "Add it.",
  },
  CONFLICTING_KEYS: {
    means: "Two keys say the same or exclude each other.",
    remedy: "Keep one of them.",
  },
  WRONG_TYPE: {
    means: "A value is of another type than is meant there.",
    remedy: "The text says which is wanted.",
  },
  EMPTY_VALUE: {
    means: "A value is empty.",
    remedy: "Give one, or leave the key out.",
  },
  UNKNOWN_VALUE: {
    means: "A value is none of those that can be.",
    remedy: "The hint lists them.",
  },
  UNKNOWN_PROTOCOL: {
    means: "There is no such protocol here.",
    remedy: "Use tcp, udp or sctp.",
  },
  NOT_SUPPORTED: {
    means: "Something is asked for that svcproxy does not do.",
    remedy: "The hint says what does instead.",
  },
  BAD_ADDRESS: {
    means: "A text is not an IP address.",
    remedy: "Write one like 10.0.0.1 or fd00::1.",
  },
  BAD_CIDR: {
    means: "A text is not a block of addresses.",
    remedy: "Write one like 10.5.0.0/24.",
  },
  BAD_NAME: {
    means: "A name has characters that it may not have, or is too long.",
    remedy: "The hint says which may be.",
  },
  BAD_VALUE: {
    means: "A value cannot be read, or is out of what makes sense.",
    remedy: "The hint says how it is written.",
  },
  SLOPPY_ADDRESS: {
    means: "An address is written in a way that programs read differently, as with leading zeros.",
    remedy: "Write it as it is read.",
  },
  SPECIAL_ADDRESS: {
    means:
      "An address has a meaning of its own (multicast, loopback, documentation) and cannot be what it is given for.",
    remedy: "Take an ordinary one.",
  },
  PORT_OUT_OF_RANGE: {
    means: "A port is not from 1 to 65535.",
    remedy: "Use one that is.",
  },
  NUMBER_OUT_OF_RANGE: {
    means: "A number is smaller or larger than may be.",
    remedy: "The text has the range.",
  },
  DUPLICATE_NAME: {
    means: "A name stands for two things.",
    remedy: "Rename one.",
  },
  DUPLICATE_ADDRESS: {
    means: "An address belongs to two hosts, pods or VIPs.",
    remedy: "Take another for one of them.",
  },
  DUPLICATE_FRONTEND: {
    means: "Two services want the same address and port.",
    remedy: "Give one another port or address.",
  },
  DUPLICATE_NODE_PORT: {
    means: "Two services want the same NodePort.",
    remedy: "Give one another.",
  },
  DUPLICATE_ID: {
    means: "Two services have the same id, from which names of chains are made.",
    remedy: "Give one another.",
  },
  DUPLICATE_ENDPOINT: {
    means: "An endpoint is listed twice; it counts once.",
    remedy: "Take one away.",
  },
  UNKNOWN_ENDPOINT: {
    means: "An endpoint names a pod or host that the topology does not have.",
    remedy: "The hint has names that are near.",
  },
  NO_TARGET_PORT: {
    means: "It is not known on which port an endpoint serves.",
    remedy: "Give it a port, or the service a targetPort.",
  },
  TARGET_PORT_DIFFERS: {
    means: "An endpoint has another port than its service's targetPort.",
    remedy: "Keep one of the two.",
  },
  PORT_IN_ADDRESS: {
    means: "An IPv6 address ends like a port that was meant.",
    remedy: "Write the address in brackets, or the port under its own key.",
  },
  MIXED_FAMILIES: {
    means: "IPv4 and IPv6 are mixed where one family has to be.",
    remedy: "Give both of one family.",
  },
  FAMILY_TWICE: {
    means: "A second address of a family stands where there can be one.",
    remedy: "Take one away.",
  },
  VIP_IS_HOST_ADDRESS: {
    means: "A VIP is also an address of a host, whose own programs it hides.",
    remedy: "Take an address that nothing else has.",
  },
  VIP_IS_POD_ADDRESS: {
    means: "A VIP is also a pod's address.",
    remedy: "Take an address that nothing else has.",
  },
  VIP_IN_POD_CIDR: {
    means: "A VIP lies in a block of pods.",
    remedy: "Take an address outside of all podCIDRs.",
  },
  POD_OUTSIDE_CIDR: {
    means: "A pod's address is not in the block of its host.",
    remedy: "Correct one of the two.",
  },
  OVERLAPPING_POD_CIDRS: {
    means: "Blocks of pods of two hosts overlap.",
    remedy: "Give each host a block of its own.",
  },
  SERVICE_CIDR_TOO_WIDE: {
    means: "The block of ClusterIPs has addresses of hosts or pods in it.",
    remedy: "Give the block that ClusterIPs are taken from, and nothing else.",
  },
  OPEN_FAMILY: {
    means: "Sources are limited in one family, and the other is open to all.",
    remedy: "Add ranges of the other family.",
  },
  NO_CLUSTER_IP: {
    means: "A service has no ClusterIP where one is needed.",
    remedy: "Give it one, or name a pod or an address instead.",
  },
  NO_NODE_ADDRESS: {
    means:
      "A Node has no InternalIP, so that no rules can be made for it; what a node of a cluster that is followed had before stays in force.",
    remedy: "Give the Nodes as the cluster has them, with their status.",
  },
  NO_ENDPOINTS_GIVEN: {
    means: "No Service has an endpoint in what was given.",
    remedy: "Give endpointslices too: kubectl get services,endpointslices,nodes -A -o yaml.",
  },
  JOINS_NOTHING: {
    means: "An object belongs to no other that was given.",
    remedy: "Give its Service too, or correct its label.",
  },
  EXTERNAL_IP_REFUSED: {
    means: "A Service asks for an external IP that nobody allowed.",
    remedy: "Allow its block by --allow-external-ips, if its owner may have it.",
  },
  OTHER_PROXY: {
    means: "A Service is left to another proxy by its label service-proxy-name.",
    remedy: "Take the label away to have it served here.",
  },
  UNUSUAL_NODE_PORT: {
    means: "A NodePort is outside of the range that clusters use.",
    remedy: "Use one from 30000 to 32767, unless it is meant.",
  },
  LOW_NODE_PORT: {
    means: "A NodePort is so low that it hides programs of the hosts, as SSH.",
    remedy: "Use one from 30000 to 32767.",
  },
  MIXED_INPUT: {
    means: "A topology file and Kubernetes objects are in one input.",
    remedy: "Give one kind.",
  },
  NO_EFFECT: {
    means: "Something is set that has no effect.",
    remedy: "Take it away, or set what it needs.",
  },
  KUBE_PROXY_DEFAULT: {
    means: "A setting has kube-proxy's default, which is not svcproxy's, because a kube-proxy configuration is read.",
    remedy: "Set it, where the other is wanted.",
  },
} as const satisfies Readonly<Record<string, Meaning>>;
