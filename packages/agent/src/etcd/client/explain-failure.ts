/** Why an endpoint could not be asked, in words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ("code" in error && typeof error.code === "string") {
    const known = REASONS[error.code];
    if (known !== undefined) return known;
    if (error.code === "EPROTO" || error.code.startsWith("ERR_SSL")) return `TLS does not fit: ${error.message.trim()}`;
  }
  return error.message;
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "it ended the connection",
  ENOTFOUND: "there is no such name",
  EAI_AGAIN: "the name cannot be looked up now",
  EHOSTUNREACH: "there is no way to it",
  ENETUNREACH: "there is no way to it",
  HPE_INVALID_CONSTANT: "it does not speak HTTP; does it want TLS (etcds://)?",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by nobody whom we know; give the CA",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by nobody whom we know; give the CA",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself; give it as the CA",
  CERT_HAS_EXPIRED: "its certificate has expired",
};
