import { afterAll, beforeAll, expect, test } from "vitest";
import { exchangeNames, recordedExchange } from "../testing/recorded-exchange.ts";
import { TestApiServer } from "../testing/test-api-server.ts";
import { ApiClient } from "./api-client.ts";
import { ApiError, explainApiError, objectOf } from "./api-error.ts";

/** What the client makes of each answer that was recorded. */
type Outcome =
  | { readonly kind: "list"; readonly items: number; readonly version: string; readonly goesOn?: true }
  /** Types of the events; `cut`: then the connection broke off; `open`: then it stayed. */
  | { readonly kind: "events"; readonly types: string; readonly end?: "cut" | "open" }
  | {
      readonly kind: "refused";
      readonly code: number;
      readonly reason: string;
      readonly text: RegExp;
      readonly is?: "expired" | "from the future";
      readonly retryAfterMs?: number;
      readonly problem?: string;
    }
  | { readonly kind: "not JSON" }
  /** A document that is no list. */
  | { readonly kind: "value" };

/** Of an open watch: longer than it takes to send what a server has. */
const SILENCE_MS = 300;

const refused = (code: number, reason: string, text: RegExp, more: object = {}): Outcome => ({
  ...{ kind: "refused", code, reason, text },
  ...more,
});
const list = (items: number, version: string, more: object = {}): Outcome => ({
  kind: "list",
  items,
  version,
  ...more,
});
const events = (types: string, more: object = {}): Outcome => ({ kind: "events", types, ...more });

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  "401-bad-token": refused(401, "Unauthorized", /^Unauthorized$/, { problem: "API_REFUSED" }),
  "403-anonymous": refused(403, "Forbidden", /"system:anonymous" cannot list resource "services"/, {
    problem: "API_REFUSED",
  }),
  "403-nobody": refused(403, "Forbidden", /User "nobody" cannot list/, { problem: "API_REFUSED" }),
  "403-verb": refused(403, "Forbidden", /"system:kube-proxy" cannot get/, { problem: "API_REFUSED" }),
  "410-continue-1": list(2, "265", { goesOn: true }),
  "410-continue-2-expired": refused(410, "Expired", /too old/, { is: "expired" }),
  "410-continue-3-inconsistent": list(2, "289", { goesOn: true }),
  "410-list-exact-compacted": refused(410, "Expired", /too old|expired/, { is: "expired" }),
  "410-watch-endpointslices": events("ERROR410"),
  "410-watch-nodes-rv1": events("ERROR410"),
  "410-watch-services": events("ERROR410"),
  "429-list": refused(429, "", /^Too many requests, please try again later\.$/, { retryAfterMs: 1000 }),
  "etcd34-watch-no-rv": events("ERROR504"),
  "etcd34-watch-sendinitialevents-nodes": events("ERROR500"),
  "etcd34-watch-sendinitialevents-services": events("ERROR500"),
  "get-missing": refused(404, "NotFound", /"none" not found/, { problem: "API_FAILED" }),
  "gone-1-list": list(6, "267"),
  "gone-2-watch-from-there": events("DELETED"),
  "list-bad-field": refused(400, "BadRequest", /field label not supported/),
  "list-bad-selector": refused(400, "BadRequest", /unable to parse requirement/),
  "list-empty": list(0, "229"),
  "list-endpointslices": list(4, "229"),
  "list-field-node": list(1, "229"),
  "list-gzip-large": list(116, "521"),
  "list-gzip-small": list(2, "229"),
  "list-limit-1": list(2, "229", { goesOn: true }),
  "list-limit-2": list(2, "229", { goesOn: true }),
  "list-limit-3": list(2, "229"),
  "list-limit-malformed": refused(400, "BadRequest", /continue key is not valid/),
  "list-limit-mixed": list(4, "229"),
  "list-limit-rv0": list(6, "229"),
  "list-nodes": list(2, "229"),
  "list-not-acceptable": refused(406, "NotAcceptable", /^406: Not Acceptable/),
  "list-partial": list(1, "229", { goesOn: true }),
  "list-rv-future": refused(504, "Timeout", /Too large resource version/, {
    is: "from the future",
    retryAfterMs: 1000,
  }),
  "list-selector-endpointslices": list(3, "229"),
  "list-selector-services": list(4, "229"),
  "list-servicecidrs": list(1, "229"),
  "list-services": list(6, "229"),
  "list-table": { kind: "value" },
  "list-yaml": { kind: "not JSON" },
  "post-invalid": refused(422, "Invalid", /failed to allocate/),
  "post-unknown-field": refused(400, "BadRequest", /unknown field/),
  "post-unknown-field-warn": refused(201, "", /./),
  readyz: { kind: "not JSON" },
  "server-sigkill-during-watch": events("", { end: "cut" }),
  "server-sigterm-during-watch": events("", { end: "open" }),
  "unknown-path": refused(404, "", /^404 page not found$/, { problem: "API_FAILED" }),
  version: { kind: "value" },
  "watch-endpointslices-change": events("MODIFIED BOOKMARK"),
  "watch-no-rv": events("ADDED ADDED"),
  "watch-rv-future": events(""),
  "watch-rv-garbage": refused(500, "", /Invalid value: "abc"/),
  "watch-rv0": events("ADDED ADDED"),
  "watch-rv1": events("ADDED ADDED ADDED ADDED ADDED ADDED MODIFIED ADDED DELETED MODIFIED ADDED DELETED"),
  "watch-selector-leave": events("DELETED ADDED"),
  "watch-sendinitialevents-no-bookmarks": events("ADDED ADDED", { end: "open" }),
  "watch-sendinitialevents-no-match": refused(
    422,
    "Invalid",
    /sendInitialEvents requires setting resourceVersionMatch/,
  ),
  "watch-sendinitialevents-nodes": events("ADDED ADDED BOOKMARK"),
  "watch-sendinitialevents-services": events("ADDED ADDED ADDED ADDED ADDED BOOKMARK"),
  "watch-services": events("MODIFIED ADDED DELETED BOOKMARK BOOKMARK"),
};

let server: TestApiServer;
beforeAll(async () => {
  server = await TestApiServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

test("each exchange that was recorded is looked at", () => {
  expect(Object.keys(OUTCOMES).sort()).toEqual(exchangeNames);
});

test.for(exchangeNames)("%s is understood", async (name) => {
  const outcome = OUTCOMES[name];
  const { api, asked } = clientOf(name);
  const { signal } = new AbortController();
  switch (outcome?.kind) {
    case "list": {
      const answer = objectOf(await api.get({ ...asked, signal }));
      expect(answer["items"]).toHaveLength(outcome.items);
      expect(answer["metadata"]).toMatchObject({ resourceVersion: outcome.version });
      expect("continue" in objectOf(answer["metadata"])).toBe(outcome.goesOn === true);
      break;
    }
    case "value":
      expect(await api.get({ ...asked, signal })).toBeTypeOf("object");
      break;
    case "not JSON":
      await expect(api.get({ ...asked, signal })).rejects.toThrow(/not JSON/);
      break;
    case "events": {
      const least = outcome.types.split(" ").filter((type) => type !== "").length;
      const { types, error, isOpen } = await readEvents(api, asked, { staysOpen: outcome.end === "open", least });
      expect(types.join(" ")).toBe(outcome.types);
      expect({ isCut: error !== undefined, isOpen }).toEqual({
        isCut: outcome.end === "cut",
        isOpen: outcome.end === "open",
      });
      break;
    }
    default: {
      const error = await api.get({ ...asked, signal }).catch((refusal: unknown) => refusal);
      if (!(error instanceof ApiError) || outcome === undefined) throw error;
      expect(error.status).toMatchObject({ code: outcome.code, reason: outcome.reason });
      expect(error.status?.message).toMatch(outcome.text);
      expect(error.status?.retryAfterMs).toBe(outcome.retryAfterMs);
      expect(error.isExpired).toBe(outcome.is === "expired");
      expect(error.isFromFuture).toBe(outcome.is === "from the future");
      const told = explainApiError(error, { what: "follow services", server: "here" });
      expect(told.message).toContain(error.status?.message);
      if (outcome.problem !== undefined) expect(told.code).toBe(outcome.problem);
    }
  }
});

/** Those that hold what can be cut in the middle. */
const cuttable = exchangeNames.filter((name) => {
  const outcome = OUTCOMES[name];
  if (outcome?.kind === "list") return true;
  return outcome?.kind === "events" && outcome.types !== "" && outcome.end === undefined;
});

test.for(cuttable)("%s, broken off in its last line, is a fault and never half an answer", async (name) => {
  const { api, asked } = clientOf(name, { cut: true });
  const outcome = OUTCOMES[name];
  if (outcome?.kind !== "events") {
    await expect(api.get({ ...asked, signal: new AbortController().signal })).rejects.toThrow();
    return;
  }
  const { types, error } = await readEvents(api, asked);
  expect(error).toBeDefined();
  expect(types).toEqual(outcome.types.split(" ").slice(0, -1));
});

function clientOf(name: string, { cut = false } = {}) {
  server.script = () => ({ recorded: name, cut });
  const url = new URL(recordedExchange(name).target, "http://server");
  const api = new ApiClient({ server: server.url, skipsVerification: false, user: {} }, { version: "0" });
  return { api, asked: { path: url.pathname, query: Object.fromEntries(url.searchParams) } };
}

/**
 * Reads a watch to its end; one that stays open, until so many events came and then nothing.
 *
 * @returns `isOpen`: it did not end by itself
 */
async function readEvents(
  api: ApiClient,
  asked: { readonly path: string; readonly query: Record<string, string> },
  { staysOpen = false, least = 0 } = {},
) {
  const types: string[] = [];
  const patience = new AbortController();
  // Where nothing more is to come, what comes all the same comes soon.
  let silence: NodeJS.Timeout | undefined;
  const listen = () => {
    clearTimeout(silence);
    if (staysOpen && types.length >= least) silence = setTimeout(() => patience.abort(), SILENCE_MS);
  };
  listen();
  try {
    for await (const together of api.watch({ ...asked, signal: patience.signal }, () => {})) {
      for (const event of together.map(objectOf))
        types.push(`${event["type"]}${event["type"] === "ERROR" ? objectOf(event["object"])["code"] : ""}`);
      listen();
    }
    return { types, error: undefined, isOpen: false };
  } catch (error) {
    return { types, error: patience.signal.aborted ? undefined : error, isOpen: patience.signal.aborted };
  } finally {
    clearTimeout(silence);
  }
}
