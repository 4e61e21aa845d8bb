import { systemCode } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** An object of a cluster, as JSON has it. */
export type ApiObject = Readonly<Record<string, unknown>>;

/** What an API server says instead of what was asked for. */
export interface ApiStatus {
  readonly code: number;
  /** A word, for instance `Expired`; empty where it gives none. */
  readonly reason: string;
  readonly message: string;
  /** What it wants to be left alone for; undefined: it says nothing. */
  readonly retryAfterMs: number | undefined;
  /** Finer words, for instance `ResourceVersionTooLarge`. */
  readonly causes: readonly string[];
}

/** That a request to an API server came to nothing; `status` is set where the server answered. */
export class ApiError extends Error {
  readonly status: ApiStatus | undefined;

  constructor(message: string, options: { readonly status?: ApiStatus; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ApiError";
    this.status = options.status;
  }

  /** The version that was asked for is older than what the server remembers. */
  get isExpired(): boolean {
    return this.status?.code === 410;
  }

  /** The version that was asked for has not been there yet: the store was set back to an older state. */
  get isFromFuture(): boolean {
    return this.status?.causes.includes("ResourceVersionTooLarge") === true;
  }

  /** Whether the server may answer the same request better in a while. */
  get isPassing(): boolean {
    const code = this.status?.code;
    return code === undefined || code === 401 || code === 429 || code === 502 || code === 503 || code === 504;
  }
}

/** Reads a `Status`, or the plain text that stands in its place. @param retryAfter the header */
export function statusOf(code: number, body: string, retryAfter?: string): ApiStatus {
  const status = parseObject(body);
  const details = objectOf(status["details"]);
  const seconds = numberOf(details["retryAfterSeconds"]) ?? secondsOf(retryAfter);
  const causes = Array.isArray(details["causes"]) ? details["causes"] : [];
  const text = textOf(status["message"]) ?? body.trim().slice(0, MAX_QUOTED);
  return {
    code: numberOf(status["code"]) ?? code,
    reason: textOf(status["reason"]) ?? "",
    message: text === "" ? (NO_TEXT[Math.floor(code / 100)] ?? "it says nothing of why") : text,
    retryAfterMs: seconds === undefined ? undefined : Math.min(seconds, LONGEST_RETRY_AFTER_S) * 1000,
    causes: causes.flatMap((cause: unknown) => textOf(objectOf(cause)["reason"]) ?? []),
  };
}

/** What a refusal without a word means, by the first digit. */
const NO_TEXT: Readonly<Record<number, string>> = { 3: "it sends to another address, as no API server does" };
/** Of an answer that is not a `Status`: a proxy's page, for instance. */
const MAX_QUOTED = 300;
/** A server that asks for more is asked again nevertheless. */
const LONGEST_RETRY_AFTER_S = 60;

function parseObject(text: string): ApiObject {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return {};
  }
}

/** The value itself where it is a mapping; an empty one where it is something else. */
export function objectOf(value: unknown): ApiObject {
  return isObject(value) ? value : NOTHING;
}

function isObject(value: unknown): value is ApiObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const NOTHING: ApiObject = {};

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** `Retry-After` in seconds; API servers send no dates there. */
function secondsOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) : undefined;
}

/** How people are told. @param what what was being done, for instance `list services` */
export function explainApiError(error: unknown, { what, server }: { readonly what: string; readonly server: string }) {
  if (error instanceof EnvironmentError) return error;
  const cause = error instanceof Error ? error : undefined;
  if (!(error instanceof ApiError) || error.status === undefined) {
    const own = OWN_CREDENTIALS[systemCode(error) ?? ""];
    if (own !== undefined)
      return new EnvironmentError("CREDENTIALS_UNREADABLE", `Cannot ${what} at ${server}: ${own}`, { cause });
    return new EnvironmentError("API_UNREACHABLE", `Cannot ${what} at ${server}: ${reasonOf(error)}`, { cause });
  }
  const { code, message } = error.status;
  const hint = code === 403 && message.includes(ANONYMOUS) ? SHOW_SOMETHING : HINTS[code];
  const problemCode = code === 401 || code === 403 ? "API_REFUSED" : "API_FAILED";
  return new EnvironmentError(problemCode, `Cannot ${what} at ${server}: ${message} (HTTP ${code})`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

const HINTS: Readonly<Record<number, string>> = {
  401: "The token or the certificate is not valid there (any more): renew it",
  403: "Bind the ClusterRole system:node-proxier to this user, as deploy/kubernetes does",
};

/** Who shows nothing that the server takes, a password for instance, is this user to it. */
const ANONYMOUS = '"system:anonymous"';
const SHOW_SOMETHING =
  "The server does not know who asks: give the kubeconfig's user a client certificate, a token or a plug-in (exec)";

/** What OpenSSL says of what we were to show, before the server is asked. */
const OWN_CREDENTIALS: Readonly<Record<string, string>> = {
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: "the client certificate and its key do not belong together",
  ERR_OSSL_PEM_NO_START_LINE: "the client certificate is not PEM",
  ERR_OSSL_UNSUPPORTED: "the key of the client certificate is not PEM, or of a kind that is not supported",
};

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  const code = systemCode(error) ?? "";
  const text = error instanceof Error ? error.message.trim() : String(error);
  return WORDS[code] ?? (/^EPROTO$|^ERR_SSL/.test(code) ? `TLS does not fit: ${text}` : text);
}

const UNKNOWN_AUTHORITY =
  "its certificate is not of the authority that is given (certificate-authority in a kubeconfig; without one, a public authority)";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was cut off",
  EPIPE: "the connection was cut off",
  ETIMEDOUT: "there was no answer in time",
  EHOSTUNREACH: "there is no way to this host",
  ENETUNREACH: "there is no way to this network",
  ENOTFOUND: "the name of the host is not known",
  EAI_AGAIN: "the name of the host could not be looked up",
  HPE_INVALID_CONSTANT: "it does not speak HTTP; does it want https://?",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  Z_DATA_ERROR: "what it sends is not compressed as it says (gzip)",
  Z_BUF_ERROR: "what it sends compressed was cut off",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; is the clock right?",
};
