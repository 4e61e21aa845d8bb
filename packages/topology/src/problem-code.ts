import type { FaultCode } from "./fault-code.ts";

/** Every code that a `Problem` can have. A code never changes its meaning; the text beside it may. */
export type ProblemCode =
  | FaultCode
  // What a data path cannot do of a plan
  | "HEALTH_CHECK_UNANSWERED"
  | "PROXY_PROTOCOL_UNSENT";
