import type { FaultCode } from "./fault-code.ts";

/** Every code that a `Problem` can have. A code never changes its meaning; the text beside it may. */
export type ProblemCode =
  | InputCode
  | EnvironmentCode
  // What is not as it should be in a plan
  | "ENDPOINT_LOOP"
  | "ENDPOINT_CHAIN"
  // What a data path cannot do of a plan
  | "HEALTH_CHECK_UNANSWERED"
  | "PROXY_PROTOCOL_UNSENT"
  | "CHAIN_NOT_FOLLOWED"
  | "CLIENT_OUTSIDE_UNANSWERED"
  | "LOCALHOST_IPV6_UNSERVED"
  | "CLIENT_ADDRESS_HIDDEN"
  | "SCTP_UNSERVED"
  | "SILENCE_IS_REFUSAL"
  | "PODS_TOLD_BY_SUBNET"
  | "NUMBERS_EXHAUSTED"
  // What of the machine keeps a plan from working
  | "FORWARDING_OFF"
  | "BRIDGE_PAST_NETFILTER"
  | "ROUTE_LOCALNET_OFF"
  | "LOOPBACK_UNGUARDED"
  | "RULES_IN_BOTH_VARIANTS"
  | "NODE_PORT_TAKEN"
  | "UNMARKED_RULES"
  | "FOREIGN_RULE_DROPS"
  | "FOREIGN_DNAT_FIRST"
  | "FOREIGN_CHAIN_FIRST"
  | "FORWARDING_DROPPED"
  | "AFFINITY_TABLE_FULL"
  | "FOREIGN_CHANGE"
  | "VIP_NOT_LOCAL"
  | "VIP_LEFT_BEHIND"
  | "VIP_REACHES_PROGRAMS"
  | "PORT_IN_USE"
  | "PORT_NOT_PERMITTED"
  | "CANNOT_LISTEN";

/** Codes of an `InputError`: the user's input or usage is wrong. */
export type InputCode =
  | FaultCode
  // Files and flags
  | "FILE_UNREADABLE"
  | "NO_FILES"
  | "TOPOLOGY_REQUIRED"
  | "HOST_REQUIRED"
  | "UNKNOWN_HOST"
  | "UNKNOWN_SERVICE"
  | "FOREIGN_HOST"
  | "STDIN_TWICE"
  | "WATCH_STDIN"
  | "TWO_FILES"
  | "SEVERAL_CONFIGURATIONS"
  | "CONFLICTING_FLAGS"
  | "UNKNOWN_CHOICE"
  | "FAMILY_REQUIRED"
  // Rules and facts of a host
  | "NOT_SAVED_RULES"
  | "RULE_SYNTAX"
  | "NFT_SYNTAX"
  | "CHAIN_EXISTS"
  | "CHAIN_MISSING"
  | "CHAIN_NAME"
  | "CHAIN_IN_USE"
  | "RULE_MISSING"
  | "HOST_STATE_INVALID"
  | "IPSET_INVALID"
  // Packets, and what is expected of them
  | "PACKET_REQUIRED"
  | "PORT_REQUIRED"
  | "BAD_PACKET"
  | "UNKNOWN_INTERFACE"
  | "NO_WAY_IN"
  | "BAD_EXPECTATION"
  | "UNEXPECTED"
  | "PROOF_TOO_LARGE"
  // The userspace proxy
  | "VIP_DEVICE"
  | "VIP_RANGE"
  | "VIP_RANGE_TOO_WIDE"
  | "METRICS_ADDRESS"
  | "INSTANCE_NAME"
  // The lab
  | "LAB_NAME_REQUIRED"
  | "BAD_LAB_NAME"
  | "UNKNOWN_PLACE";

/** Codes of an `EnvironmentError`: the machine cannot do what was asked. */
export type EnvironmentCode =
  | "INTERRUPTED"
  | "NEEDS_ROOT"
  | "STDOUT_UNWRITABLE"
  | "OUT_OF_DESCRIPTORS"
  | "ADDRESSES_UNREADABLE"
  // Tools
  | "MISSING_TOOL"
  | "TOOL_MISSING"
  | "TOOL_FAILED"
  | "IP_FAILED"
  | "CONNTRACK_FAILED"
  // Rules
  | "VARIANT_MISSING"
  | "LOCK_FILE_READ_ONLY"
  | "LOCK_FILE_UNWRITABLE"
  | "XTABLES_LOCKED"
  | "NO_TABLE"
  | "TABLE_INCOMPATIBLE"
  | "RESTORE_REFUSED"
  | "FOREIGN_CHAINS"
  | "CHAINS_HELD"
  | "RULES_KEEP_CHANGING"
  | "NFT_REFUSED"
  | "NFT_CRASHED"
  | "NFT_UNSUPPORTED"
  | "SAVE_FAILED"
  | "SAVE_UNREADABLE"
  // Instances
  | "LOCKED"
  | "ALREADY_RUNNING"
  | "NOT_RUNNING"
  | "OTHER_VERSION"
  | "TAKE_OVER_FAILED"
  | "RUNTIME_DIRECTORY"
  // The userspace proxy
  | "UNSUPPORTED_NODE"
  | "TOO_FEW_OPEN_FILES"
  | "FRONTENDS_NOT_SERVED"
  | "METRICS_ADDRESS"
  // The lab
  | "LAB_FAILED"
  | "NO_SUCH_LAB"
  | "LAB_STATE_UNSAFE"
  | "LAB_ADDRESS_TAKEN"
  | "LAB_NO_OVERLAY"
  | "LAB_NO_SPARE_ADDRESS"
  | "LAB_NO_NAMESPACES"
  | "LAB_NO_HOSTS"
  | "LAB_GONE"
  | "LAB_EXISTS"
  | "LAB_DATA_PATH"
  | "LAB_COMMAND_FAILED";
