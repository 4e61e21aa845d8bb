import { setImmediate as turn } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { followFromNow, type Source, type SourceEvent } from "./source.ts";

const EVENTS = ["first", "second"].map((text) => ({ kind: "problem", problems: [], text }) as unknown as SourceEvent);

/** Tells two events, and then nothing until it is told to end. */
function sourceOf({ began, ended }: { readonly began: () => void; readonly ended: () => void }): Source {
  return {
    name: "memory",
    async *follow(signal) {
      began();
      try {
        yield* EVENTS;
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      } finally {
        ended();
      }
    },
  };
}

test("a source is followed before anybody asks, and tells all the same", async () => {
  const [began, ended, ending] = [vi.fn(), vi.fn(), new AbortController()];
  const events = followFromNow(sourceOf({ began, ended }), ending.signal);
  expect(began).toHaveBeenCalledTimes(1);
  const told: SourceEvent[] = [];
  for await (const event of events) {
    told.push(event);
    if (told.length === EVENTS.length) ending.abort();
  }
  expect(told).toEqual(EVENTS);
  expect(ended).toHaveBeenCalledTimes(1);
});

test("nobody having asked, it is let go all the same", async () => {
  const [began, ended, ending] = [vi.fn(), vi.fn(), new AbortController()];
  followFromNow(sourceOf({ began, ended }), ending.signal);
  await turn();
  ending.abort();
  await turn();
  expect(ended).toHaveBeenCalledTimes(1);
});
