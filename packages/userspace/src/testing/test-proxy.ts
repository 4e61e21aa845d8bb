import { type Logger, pino } from "pino";
import { onTestFinished } from "vitest";
import type { AccessRecord } from "../access-record.ts";
import { createProxy } from "../proxy.ts";
import { DEFAULT_PROXY_OPTIONS, type ProxyOptions } from "../proxy-options.ts";
import type { ServiceProxy } from "../service-proxy.ts";
import { loopbackPlan, type TestService } from "./loopback-plan.ts";

/** A proxy that serves these services until the test is over; it carries connections itself unless `workers` says otherwise. */
export async function startProxy(
  services: readonly TestService[],
  options: Partial<ProxyOptions> & {
    readonly onConnectionEnd?: (record: AccessRecord) => void;
    readonly logger?: Logger;
  } = {},
): Promise<ServiceProxy> {
  const { onConnectionEnd, logger = pino({ level: "silent" }), ...changed } = options;
  const proxy = await createProxy(
    { ...DEFAULT_PROXY_OPTIONS, workers: 0, ...changed },
    { logger, ...(onConnectionEnd === undefined ? {} : { onConnectionEnd }) },
  );
  onTestFinished(() => proxy.close());
  await proxy.apply(loopbackPlan(services));
  return proxy;
}

/** Asks again until it is so. @throws Error with what was seen last */
export async function until<T>(
  look: () => T | Promise<T>,
  isSo: (seen: T) => boolean,
  patienceMs = 30_000,
): Promise<T> {
  const deadlineMs = Date.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (Date.now() > deadlineMs) throw new Error(`it did not become so; seen last: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
