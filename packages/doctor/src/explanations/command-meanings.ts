import type { Meaning } from "./explanation.ts";

/** Of faults in what a command is told: its flags, and the files, rules and packets that it is given. */
export const COMMAND_MEANINGS = {
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
