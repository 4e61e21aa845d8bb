import type { ConnectionView } from "../packet/packet-view.ts";

/** Flags that conntrack keeps of a connection; undefined: not known. */
export interface ConnectionStatus {
  /** Whether an answer has been seen. */
  readonly seenReply: boolean | undefined;
  /** Whether another connection announced it. */
  readonly expected: boolean | undefined;
  /** Whether it got so far that it is not given up early. */
  readonly assured: boolean | undefined;
}

/** What a packet, or what tells that one is refused, shows of its connection's flags. @see linux nf_conntrack_common.h */
export function connectionStatus({ state, direction, refused }: ConnectionView): ConnectionStatus {
  // A refusal is looked for in no table: the connection is as the refused packet found it.
  const seen = refused ?? state;
  if (seen === "NEW") return { seenReply: false, expected: false, assured: false };
  if (seen === "RELATED") return { seenReply: undefined, expected: undefined, assured: undefined };
  const isAnswer = refused === undefined && direction === "REPLY";
  return {
    seenReply: isAnswer || seen === "ESTABLISHED" ? true : undefined,
    // We follow answers to what began as a connection of its own.
    expected: isAnswer ? false : undefined,
    assured: undefined,
  };
}
