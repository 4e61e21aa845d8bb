import { JSON_TYPE, type Page, type PageServer, type Pages, servePages, TEXT } from "./page-server.ts";
import { METRICS_CONTENT_TYPE } from "./render-metrics.ts";

/** What is to be seen from outside. */
export interface ObservedPages {
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Any JSON value. */
  status(): Promise<unknown>;
  /** Why it is not ready, a line each; none: it is. */
  unreadiness(): Promise<readonly string[]>;
}

export interface ObserveServerOptions {
  /** Port 0 is any free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly pages: ObservedPages;
  readonly onProblem: (error: unknown) => void;
}

/**
 * Serves `/metrics` (Prometheus text), `/healthz` (the event loop answers), `/readyz` (all that can be is served) and `/status` (JSON).
 *
 * @throws EnvironmentError METRICS_ADDRESS where it cannot listen there; `cause` is the system's error
 */
export function startObserveServer({ listen, pages, onProblem }: ObserveServerOptions): Promise<PageServer> {
  return servePages(observedPages(pages), {
    place: { kind: "port", ...listen, hint: "Give another address with --metrics" },
    onProblem,
  });
}

function observedPages(pages: ObservedPages): Pages {
  return new Map<string, () => Promise<Page>>([
    ["GET /healthz", async () => ({ code: 200, type: TEXT, body: "ok\n" })],
    ["GET /readyz", async () => readiness(await pages.unreadiness())],
    ["GET /metrics", async () => ({ code: 200, type: METRICS_CONTENT_TYPE, body: await pages.metrics() })],
    ["GET /status", async () => ok(await pages.status())],
  ]);
}

function ok(value: unknown): Page {
  return { code: 200, type: JSON_TYPE, body: `${JSON.stringify(value, null, 2)}\n` };
}

function readiness(reasons: readonly string[]): Page {
  if (reasons.length === 0) return { code: 200, type: TEXT, body: "ready\n" };
  return { code: 503, type: TEXT, body: reasons.map((reason) => `${reason}\n`).join("") };
}
