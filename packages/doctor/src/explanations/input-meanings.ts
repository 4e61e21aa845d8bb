import type { Meaning } from "./explanation.ts";

/** Of faults of the input and of the command line. */
export const INPUT_MEANINGS = {
  EMPTY_FILE: {
    means: "A file of the topology has nothing in it, or only comments.",
    remedy: "Start it with hosts:; svcproxy schema prints the format.",
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
    means: "A Node has no InternalIP, so that no rules can be made for it.",
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
  FILE_UNREADABLE: {
    means: "A file could not be read.",
    remedy: "The text says why.",
  },
  NO_FILES: {
    means: "There is no YAML or JSON file where some were looked for.",
    remedy: "Name a folder with some.",
  },
  TOPOLOGY_REQUIRED: {
    means: "No topology is named, and there is none in its usual place.",
    remedy: "Name a file, or write /etc/svcproxy/topology.yaml.",
  },
  NO_CLUSTER: {
    means: "It is not known where the API server is.",
    remedy: "Give --kubeconfig.",
  },
  HOST_REQUIRED: {
    means: "It is not clear which host is meant.",
    remedy: "Name it with --host.",
  },
  AMBIGUOUS_NAME: {
    means: "A name stands for more than one thing that could be meant.",
    remedy: "Write it with its namespace or host: NAMESPACE/NAME.",
  },
  UNKNOWN_NAME: {
    means: "Nothing in the topology has this name.",
    remedy: "The hint has names that are near; svcproxy check lists the services.",
  },
  UNKNOWN_HOST: {
    means: "The topology has no such host.",
    remedy: "The hint lists those that there are.",
  },
  UNKNOWN_SERVICE: {
    means: "The topology has no such service.",
    remedy: "svcproxy check lists them.",
  },
  FOREIGN_HOST: {
    means: "The named host is another machine than this one.",
    remedy: "Name the one that this is, or pass --foreign-host where its addresses are translated.",
  },
  STDIN_TWICE: {
    means: "Two things were to be read from stdin.",
    remedy: "Give one of them as a file.",
  },
  WATCH_STDIN: {
    means: "Stdin cannot be followed.",
    remedy: "Name a file.",
  },
  TWO_FILES: {
    means: "One file is taken here, and there are more.",
    remedy: "Give one.",
  },
  SEVERAL_CONFIGURATIONS: {
    means: "One configuration is taken, and there are more.",
    remedy: "Give one.",
  },
  CONFLICTING_FLAGS: {
    means: "Two flags exclude each other.",
    remedy: "Keep one of them.",
  },
  UNKNOWN_CHOICE: {
    means: "A word is none of those that can be.",
    remedy: "The hint has the one that is near.",
  },
  FAMILY_REQUIRED: {
    means: "It is not clear whether IPv4 or IPv6 is meant.",
    remedy: "Say it with --family.",
  },
  BAD_ETCD_URL: {
    means: "A URL of etcd cannot be read.",
    remedy: "Write it like etcd://10.0.0.1:2379/svcproxy.",
  },
  BAD_ETCD_SETTINGS: {
    means: "The settings of etcd cannot be used.",
    remedy: "The text says which.",
  },
  UNKNOWN_ENTRY: {
    means: "etcd has no such entry.",
    remedy: "svcproxy etcd get lists them.",
  },
  NO_ENTRIES: {
    means: "There is nothing below the prefix in etcd.",
    remedy: "svcproxy etcd put writes it; or name another prefix.",
  },
  PUT_UNFINISHED: {
    means: "A large put was staged and not switched on.",
    remedy: "Run the put again.",
  },
  FLANNEL_LEASE: {
    means: "A lease of flannel's cannot be read.",
    remedy: "The text says which; it is left out.",
  },
  UNCONFIRMED_REMOVAL: {
    means: "A put removes more services than go without a word.",
    remedy: "Pass --yes if it is meant.",
  },
  BAD_CHECK: {
    means: "A health check cannot be read.",
    remedy: "Write tcp, http:/path or exec:COMMAND.",
  },
  UNKNOWN_REGISTRATION: {
    means: "etcd has no such registered endpoint.",
    remedy: "svcproxy etcd get lists the services with theirs.",
  },
  NOT_SAVED_RULES: {
    means: "A text is not what iptables-save or nft list ruleset print.",
    remedy: "Give their output.",
  },
  RULES_REQUIRED: {
    means: "No rules are given, and none can be read here.",
    remedy: "Give --rules, or --live as root.",
  },
  RULE_SYNTAX: {
    means: "A rule of iptables cannot be read.",
    remedy: "The place says where.",
  },
  NFT_SYNTAX: {
    means: "A text of nftables cannot be read.",
    remedy: "The place says where.",
  },
  CHAIN_EXISTS: {
    means: "A chain is made twice.",
    remedy: "Take one away.",
  },
  CHAIN_MISSING: {
    means: "A rule jumps to a chain that there is not.",
    remedy: "Make the chain, or delete the rule.",
  },
  CHAIN_NAME: {
    means: "A chain has a name that the kernel does not take.",
    remedy: "Use at most 28 characters without blanks.",
  },
  CHAIN_IN_USE: {
    means: "A chain that rules jump to was to be deleted.",
    remedy: "Delete these rules first.",
  },
  RULE_MISSING: {
    means: "A rule was to be deleted that there is not.",
    remedy: "Read the rules anew.",
  },
  HOST_STATE_INVALID: {
    means: "A host's state or snapshot cannot be read.",
    remedy: "Make it anew: svcproxy host-state.",
  },
  IPSET_INVALID: {
    means: "What ipset listed cannot be read.",
    remedy: "Make it anew: ipset save.",
  },
  PACKET_REQUIRED: {
    means: "It is not said which packet is to be followed.",
    remedy: "Give --from and --to.",
  },
  PORT_REQUIRED: {
    means: "A packet of this protocol needs a port.",
    remedy: "Write --to ADDRESS:PORT.",
  },
  BAD_PACKET: {
    means: "There can be no such packet.",
    remedy: "The text says why.",
  },
  UNKNOWN_INTERFACE: {
    means: "The host has no such device.",
    remedy: "The hint lists them.",
  },
  NO_WAY_IN: {
    means: "No device of the host would take a packet from there.",
    remedy: "Name one with --in.",
  },
  BAD_EXPECTATION: {
    means: "An expectation of a packet cannot be read.",
    remedy: "The hint has its form.",
  },
  UNDECIDED: {
    means: "What becomes of a packet hangs on something that is not known.",
    remedy: "The text says on what.",
  },
  UNEXPECTED: {
    means: "A packet does not go where it was expected to.",
    remedy: "Follow it: svcproxy trace.",
  },
  PROOF_TOO_LARGE: {
    means: "The rules are too many to be proved in the memory that there is.",
    remedy: "Prove single services: --service.",
  },
  VIP_DEVICE: {
    means: "The device for VIPs cannot be used.",
    remedy: "The text says why; name another.",
  },
  VIP_RANGE: {
    means: "A range of VIPs cannot be used.",
    remedy: "The text says why.",
  },
  VIP_RANGE_TOO_WIDE: {
    means: "A range of VIPs has addresses that this host needs.",
    remedy: "Give a narrower one.",
  },
  METRICS_ADDRESS: {
    means: "Probes or metrics cannot be served at the address that is named.",
    remedy: "Name a free one, or none.",
  },
  INSTANCE_NAME: {
    means: "The name of an instance has characters that it may not have.",
    remedy: "Use letters, digits and hyphens.",
  },
  LAB_NAME_REQUIRED: {
    means: "More than one lab is up.",
    remedy: "Name one with --name.",
  },
  BAD_LAB_NAME: {
    means: "The name of a lab has characters that it may not have.",
    remedy: "Use letters, digits and hyphens.",
  },
  UNKNOWN_PLACE: {
    means: "The lab has no such host or pod.",
    remedy: "The hint lists those that there are.",
  },
} as const satisfies Readonly<Record<string, Meaning>>;
