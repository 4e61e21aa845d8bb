import { visible } from "@svcproxy/topology";
import type { ServiceState } from "../model.ts";
import { STATE_SIGNS, STATE_WORDS, timeOf } from "./words.ts";

/** How a service stands on one host: a sign, a word, and why. */
export function StateMark({ state: { kind, why, since } }: { readonly state: ServiceState }) {
  const title = [why, since === undefined ? undefined : `since ${timeOf(since)}`].filter((part) => part !== undefined);
  return (
    <span class={`state ${kind}`} title={visible(title.join(", "))}>
      <span aria-hidden="true">{STATE_SIGNS[kind]}</span> {STATE_WORDS[kind]}
    </span>
  );
}
