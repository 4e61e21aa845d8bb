/** What can be wrong with input. A code never changes its meaning; the text beside it may. */
export type FaultCode =
  // The file
  | "EMPTY_FILE"
  | "NOT_UTF8"
  | "FILE_TOO_LARGE"
  | "SYNTAX"
  | "ALIAS_BOMB"
  | "DUPLICATE_KEY"
  | "SEVERAL_DOCUMENTS"
  // The shape
  | "UNKNOWN_KEY"
  | "MISSING_KEY"
  | "CONFLICTING_KEYS"
  | "WRONG_TYPE"
  | "EMPTY_VALUE"
  | "UNKNOWN_VALUE"
  | "UNKNOWN_PROTOCOL"
  // Values
  | "BAD_ADDRESS"
  | "BAD_CIDR"
  | "PORT_OUT_OF_RANGE"
  | "NUMBER_OUT_OF_RANGE"
  // What stands twice
  | "DUPLICATE_NAME"
  | "DUPLICATE_ADDRESS"
  | "DUPLICATE_FRONTEND"
  | "DUPLICATE_NODE_PORT"
  | "DUPLICATE_ID"
  | "DUPLICATE_ENDPOINT"
  // What does not fit together
  | "UNKNOWN_ENDPOINT"
  | "NO_TARGET_PORT"
  | "TARGET_PORT_DIFFERS"
  | "MIXED_FAMILIES"
  | "FAMILY_TWICE"
  | "VIP_IS_HOST_ADDRESS"
  | "VIP_IS_POD_ADDRESS"
  | "VIP_IN_POD_CIDR"
  | "POD_OUTSIDE_CIDR"
  | "OVERLAPPING_POD_CIDRS"
  | "OPEN_FAMILY"
  | "NO_EFFECT";
