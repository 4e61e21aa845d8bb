import { useEffect, useState } from "preact/hooks";
import { applyChange } from "../change-state.ts";
import type { PageCounts, PageData, PageEvent, PageState, ServiceState } from "../model.ts";

/** What the page knows at a moment. */
export interface Known {
  readonly state: PageState | undefined;
  /** By host. */
  readonly counts: ReadonlyMap<string, PageCounts>;
  /** Set while what is shown may be old. */
  readonly old: { readonly why: string; readonly since: string } | undefined;
}

const NOTHING: Known = { state: undefined, counts: new Map(), old: undefined };

/** Events that come closer together are learnt at once: each time costs as much as there are services. */
const LEARN_MS = 100;

/** Follows the data for as long as the page is open. */
export function useKnown(data: PageData): Known {
  const [known, setKnown] = useState(NOTHING);
  useEffect(() => {
    let waiting: PageEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const learnWaiting = () => {
      timer = undefined;
      const events = waiting;
      waiting = [];
      setKnown((before) => events.reduce(learn, before));
    };
    const update = (event: PageEvent) => {
      waiting.push(event);
      timer ??= setTimeout(learnWaiting, event.kind === "judged" ? LEARN_MS : 0);
    };
    let isOpen = true;
    let stop = () => {};
    data.state().then(
      (state) => {
        if (!isOpen) return;
        update({ kind: "state", state });
        stop = data.follow(update, state.takenAt);
      },
      (error: unknown) =>
        update({
          kind: "old",
          why: error instanceof Error ? error.message : String(error),
          since: new Date().toISOString(),
        }),
    );
    return () => {
      isOpen = false;
      stop();
      clearTimeout(timer);
    };
  }, [data]);
  return known;
}

function learn(known: Known, event: PageEvent): Known {
  switch (event.kind) {
    case "state":
      return { ...known, state: keepJudged(event.state, known.state) };
    case "changed":
      return known.state === undefined
        ? known
        : { ...known, state: keepJudged(applyChange(known.state, event.change), known.state) };
    case "judged":
      return known.state === undefined ? known : { ...known, state: withStates(known.state, event) };
    case "counts":
      return { ...known, counts: new Map([...known.counts, [event.counts.host, event.counts]]) };
    case "old":
      return { ...known, old: { why: event.why, since: known.old?.since ?? event.since } };
    case "fresh":
      return { ...known, old: undefined };
  }
}

/** What was judged of a service stays until it is judged anew. */
function keepJudged(state: PageState, before: PageState | undefined): PageState {
  if (before === undefined) return state;
  const known = new Map(before.services.map((service) => [service.id, service]));
  return {
    ...state,
    services: state.services.map((service) => {
      const old = known.get(service.id);
      if (old === undefined || old === service || !service.states.some(isChecking)) return service;
      const states = service.states.map((own, place) => (isChecking(own) ? (old.states[place] ?? own) : own));
      return { ...service, states };
    }),
  };
}

function isChecking({ kind }: ServiceState): boolean {
  return kind === "checking";
}

function withStates(
  state: PageState,
  { host, states }: { readonly host: string; readonly states: Readonly<Record<string, ServiceState>> },
): PageState {
  const place = state.hosts.findIndex(({ name }) => name === host);
  return {
    ...state,
    services: state.services.map((service) => {
      const judged = states[service.id];
      if (judged === undefined) return service;
      return { ...service, states: service.states.map((own, index) => (index === place ? judged : own)) };
    }),
  };
}

/** What stands behind the `#` of the address. */
export function useHash(): string {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const update = () => setHash(location.hash);
    addEventListener("hashchange", update);
    return () => removeEventListener("hashchange", update);
  }, []);
  return hash;
}

export type Answer<T> =
  | { readonly kind: "waiting" }
  | { readonly kind: "answer"; readonly value: T }
  | { readonly kind: "failed"; readonly why: string };

/** Asks when what it hangs on changes; an answer that comes too late is passed over. */
export function useAnswer<T>(ask: () => Promise<T>, hangsOn: readonly unknown[]): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ kind: "waiting" });
  useEffect(() => {
    let isWanted = true;
    ask().then(
      (value) => isWanted && setAnswer({ kind: "answer", value }),
      (error: unknown) =>
        isWanted && setAnswer({ kind: "failed", why: error instanceof Error ? error.message : String(error) }),
    );
    return () => {
      isWanted = false;
    };
  }, [...hangsOn]);
  return answer;
}
