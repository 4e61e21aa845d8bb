import type { ClientFacts } from "../policy/client-classifier.ts";
import type { FrontendSpec, ListedEndpoint } from "../policy/frontend-spec.ts";
import { inParts } from "./in-parts.ts";

/** What a worker is to do otherwise: plain data. In this order, so that nothing is named that is not known. */
export interface WorkerChange {
  /** New, or otherwise than before. */
  readonly endpoints?: readonly ListedEndpoint[];
  /** New, or otherwise than before. Listeners come and go by `listen` and `unlisten`. */
  readonly frontends?: readonly FrontendSpec[];
  /** Keys of those that left the plan. */
  readonly goneFrontends?: readonly string[];
  readonly goneEndpoints?: readonly string[];
  readonly clients?: ClientFacts;
  /** This worker's part of `ProxyOptions.maxUdpSessions`. */
  readonly maxUdpSessions?: number;
  /** Sockets on which the process of a proxy without worker processes listens otherwise: those that answer health checks. */
  readonly otherListeners?: number;
}

/** A change in parts that are carried out one after the other; nothing is named before it is known. */
export function* changeSlices({
  endpoints = [],
  frontends = [],
  goneFrontends = [],
  goneEndpoints = [],
  ...rest
}: WorkerChange): Generator<WorkerChange> {
  yield rest;
  for (const part of inParts(endpoints)) yield { endpoints: part };
  for (const part of inParts(frontends)) yield { frontends: part };
  for (const part of inParts(goneFrontends)) yield { goneFrontends: part };
  for (const part of inParts(goneEndpoints)) yield { goneEndpoints: part };
}
