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

  /** The browser connects again by itself when the server is gone for a while. */
  follow(onEvent: (event: PageEvent) => void, have = ""): () => void {
    const events = new EventSource(`events?${new URLSearchParams({ have })}`);
    events.onmessage = ({ data }) => onEvent(JSON.parse(String(data)));
    events.onerror = () =>
      onEvent({
        kind: "old",
        why: "svcproxy view does not answer; was it ended?",
        since: new Date().toISOString(),
      });
    events.onopen = () => onEvent({ kind: "fresh" });
    return () => events.close();
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
