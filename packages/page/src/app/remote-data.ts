import type { TraceJson } from "@svcproxy/rules";
import type { PageConnections, PageData, PageEvent, PagePacket, PageState, ServiceView } from "../model.ts";

/** Asks the server from which the page came. */
export class RemoteData implements PageData {
  state(): Promise<PageState> {
    return ask("state");
  }

  service(id: string): Promise<readonly ServiceView[]> {
    return ask("service", { id });
  }

  trace({ host, from, to, port, protocol }: PagePacket): Promise<TraceJson> {
    return ask("trace", { host, from, to, protocol, ...(port === undefined ? {} : { port: String(port) }) });
  }

  async connections(host: string, id: string): Promise<PageConnections | undefined> {
    return (await ask<PageConnections | null>("connections", { host, id })) ?? undefined;
  }

  /** The browser connects again by itself when the server is gone for a while, and is told all of it then. */
  follow(onEvent: (event: PageEvent) => void, have = ""): () => void {
    let known = have;
    const open = () => {
      const events = new EventSource(`events?${new URLSearchParams({ have: known })}`);
      events.onmessage = ({ data }) => {
        const event: PageEvent = JSON.parse(String(data));
        if (event.kind === "changed" && event.change.since !== known) {
          // Something was missed.
          events.close();
          known = "";
          opened = open();
          return;
        }
        if (event.kind === "changed") known = event.change.takenAt;
        if (event.kind === "state") known = event.state.takenAt;
        onEvent(event);
      };
      events.onerror = () =>
        onEvent({
          kind: "old",
          why: "svcproxy view does not answer; was it ended?",
          since: new Date().toISOString(),
        });
      events.onopen = () => onEvent({ kind: "fresh" });
      return events;
    };
    let opened = open();
    return () => opened.close();
  }
}

/** @throws Error with what the server says */
async function ask<T>(path: string, fields: Readonly<Record<string, string>> = {}): Promise<T> {
  const response = await fetch(`${path}?${new URLSearchParams(fields)}`).catch(() => undefined);
  if (response === undefined) throw new Error("svcproxy view does not answer; was it ended?");
  const answer = await response.json();
  if (!response.ok) throw new Error(String(answer.error ?? response.statusText));
  return answer;
}
