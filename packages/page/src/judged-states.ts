import type { PageEvent, PageState, ServiceState } from "./model.ts";

type JudgedEvent = Extract<PageEvent, { kind: "judged" }>;

/** What was judged of services and told: who comes later learns it at once, and what is known is not told again. */
export class JudgedStates {
  /** By host, then by service. */
  readonly #told = new Map<string, Map<string, ServiceState>>();

  /** @returns what of it is news; undefined: nothing */
  take({ host, states, ...event }: JudgedEvent): JudgedEvent | undefined {
    const told = this.#told.get(host) ?? new Map<string, ServiceState>();
    this.#told.set(host, told);
    const news = Object.entries(states).filter(([id, state]) => !isSame(told.get(id), state));
    for (const [id, state] of news) told.set(id, state);
    return news.length === 0 ? undefined : { ...event, host, states: Object.fromEntries(news) };
  }

  /** What is gone, and comes again, is judged anew. */
  keepOnly(state: PageState): void {
    const ids = new Set(state.services.map(({ id }) => id));
    for (const told of this.#told.values()) for (const id of told.keys()) if (!ids.has(id)) told.delete(id);
  }

  /** All that was told, for who comes later. */
  known(): readonly JudgedEvent[] {
    return Array.from(this.#told, ([host, states]) => ({ kind: "judged", host, states: Object.fromEntries(states) }));
  }
}

function isSame(a: ServiceState | undefined, b: ServiceState): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}
