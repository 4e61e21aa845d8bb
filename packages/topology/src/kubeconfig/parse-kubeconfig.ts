import type { Fault } from "../errors.ts";
import { Field } from "../kubernetes/field.ts";
import { nearestWord } from "../nearest-word.ts";
import { SubjectPath } from "../subject-path.ts";
import { FaultReport } from "../text/fault-report.ts";
import { finishReading } from "../text/finish-reading.ts";
import { loadInput } from "../text/load-documents.ts";
import { type InputFile, isMapping } from "../text/source-document.ts";
import { ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";

/** How an API server is reached, and as whom; paths are as the file has them. */
export interface ClusterAccess {
  /** `https://host:port`, with a path where the API is below one. */
  readonly server: URL;
  /** Absent: those that the system trusts. */
  readonly certificateAuthority?: Material;
  /** The name that the server's certificate must have; absent: the server's own. */
  readonly tlsServerName?: string;
  /** Whether any certificate will do. */
  readonly skipsVerification: boolean;
  readonly user: ClusterUser;
}

/** What a user shows: a certificate, a token, both, or nothing. */
export interface ClusterUser {
  readonly certificate?: { readonly certificate: Material; readonly key: Material };
  readonly token?: TokenSource;
}

/** The text of a PEM file, or where it is. */
export type Material =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "data"; readonly bytes: Uint8Array };

export type TokenSource =
  | { readonly kind: "token"; readonly token: string }
  /** Read again as it changes. */
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  | ({ readonly kind: "exec" } & ExecPlugin);

/** A program that prints an ExecCredential. */
export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly installHint?: string;
  /** Whether it is told of the cluster. */
  readonly wantsCluster: boolean;
}

export interface ParsedKubeconfig {
  readonly access: ClusterAccess;
  readonly warnings: readonly Fault[];
}

/**
 * Reads a kubeconfig: the cluster and the user of one context.
 *
 * @param context the name of a context; undefined: the current one
 * @throws InputError with every fault, also where it asks for what is not supported
 */
export function parseKubeconfig(
  input: InputFile,
  { context }: { readonly context?: string | undefined } = {},
): ParsedKubeconfig {
  const loaded = loadInput([input], { emptyHint: "Give a kubeconfig: a file of `kind: Config`" });
  const report = new FaultReport();
  const [document] = loaded.documents;
  if (document === undefined) throw new TypeError("there is no document to read");
  const reader = new ValueReader(document, report);
  const root = Field.root(document.value, { where: SubjectPath.root("the kubeconfig"), reader });
  const kind = root.get("kind");
  if (kind.text() !== undefined && kind.text() !== "Config") {
    kind.error(
      "UNKNOWN_VALUE",
      `this is not a kubeconfig but a ${quote(kind.text() ?? "")}`,
      "Give a file of kind Config",
    );
  }
  const access = readContext(root, context);
  const warnings = finishReading(report, loaded.faults);
  if (access === undefined) throw new TypeError("a kubeconfig without a fault has a server");
  return { access, warnings };
}

function readContext(root: Field, wanted: string | undefined): ClusterAccess | undefined {
  const current = root.get("current-context");
  const name = wanted ?? current.text();
  if (name === undefined || name === "") {
    current.error("MISSING_KEY", "no context is the current one", "Name one with --context");
    return undefined;
  }
  const context = findNamed(root.get("contexts"), {
    name,
    part: "context",
    asker: wanted === undefined ? current : root,
  });
  if (context === undefined) return undefined;
  const cluster = follow(root.get("clusters"), { from: context.get("cluster"), part: "cluster" });
  const userName = context.get("user");
  const user = userName.text() ? follow(root.get("users"), { from: userName, part: "user" }) : undefined;
  const server = cluster === undefined ? undefined : readServer(cluster);
  if (cluster === undefined || server === undefined) return undefined;
  warnOfUnknown(cluster, CLUSTER_KEYS);
  if (user !== undefined) warnOfUnknown(user, USER_KEYS);
  const authority = readMaterial(cluster, "certificate-authority");
  const insecure = cluster.get("insecure-skip-tls-verify");
  if (insecure.flag() === true && authority !== undefined) {
    insecure.error(
      "CONFLICTING_KEYS",
      "a certificate-authority says by what the server is known, and this that any certificate will do",
      "Keep the certificate-authority alone",
    );
  }
  const tlsServerName = cluster.get("tls-server-name").text();
  return {
    server,
    ...(authority === undefined ? {} : { certificateAuthority: authority }),
    ...(tlsServerName ? { tlsServerName } : {}),
    skipsVerification: insecure.flag() ?? false,
    user: user === undefined ? {} : readUser(user),
  };
}

const withData = (...keys: readonly string[]) => keys.flatMap((key) => [key, `${key}-data`]);
const CLUSTER_KEYS: readonly string[] = [
  ...["server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "disable-compression", "extensions"],
  ...withData("certificate-authority"),
];
const USER_KEYS: readonly string[] = [
  ...withData("client-certificate", "client-key"),
  ...["token", "tokenFile", "username", "password", "exec", "auth-provider", "extensions"],
  ...["as", "as-uid", "as-groups", "as-user-extra"],
];

/** A letter too few in the name of an authority would leave the server to those that the system trusts. */
function warnOfUnknown(field: Field, known: readonly string[]): void {
  for (const key of Object.keys(isMapping(field.value) ? field.value : {})) {
    if (known.includes(key)) continue;
    const meant = nearestWord(key, known);
    const hint = meant === undefined ? undefined : `Did you mean \`${meant}\`?`;
    field.get(key).warnOfKey("UNKNOWN_KEY", "a kubeconfig has no such key, so it has no effect", hint);
  }
}

function follow(list: Field, { from, part }: { readonly from: Field; readonly part: string }): Field | undefined {
  const name = from.text();
  if (name === undefined || name === "") {
    from.error("MISSING_KEY", `the context names no ${part}`);
    return undefined;
  }
  return findNamed(list, { name, part, asker: from });
}

/** The part of the first entry of that name: entries are `{ name, context: {…} }`. */
function findNamed(
  list: Field,
  { name, part, asker }: { readonly name: string; readonly part: string; readonly asker: Field },
): Field | undefined {
  const entries = list.items();
  const entry = entries.find((candidate) => candidate.get("name").text() === name);
  if (entry !== undefined) return entry.get(part);
  const known = entries.map((candidate) => quote(candidate.get("name").text() ?? "")).join(", ");
  asker.error("UNKNOWN_VALUE", `there is no ${part} ${quote(name)}`, known === "" ? undefined : `It has: ${known}`);
  return undefined;
}

function readServer(cluster: Field): URL | undefined {
  const proxy = cluster.get("proxy-url");
  if (proxy.text()) {
    proxy.error("NOT_SUPPORTED", "a proxy on the way to the API server is not supported", "Reach the server directly");
  }
  const field = cluster.get("server");
  const text = field.text();
  if (text === undefined || text === "") {
    field.error("MISSING_KEY", "the cluster has no server");
    return undefined;
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["https:", "http:"].includes(url.protocol)) {
    field.error("BAD_ADDRESS", `${quote(text)} is not a URL`, "Write it like https://192.0.2.1:6443");
    return undefined;
  }
  return url;
}

function readUser(user: Field): ClusterUser {
  for (const key of ["as", "as-uid", "as-groups", "as-user-extra"]) {
    const field = user.get(key);
    if (field.isSet)
      field.error("NOT_SUPPORTED", "to act as another user is not supported", "Name that user's own credentials");
  }
  const provider = user.get("auth-provider");
  if (provider.isSet) {
    const hint = "Use the exec plug-in that took its place, a token or a certificate";
    provider.error("NOT_SUPPORTED", "auth-provider is not supported: Kubernetes has removed it", hint);
  }
  const certificate = readMaterial(user, "client-certificate");
  const key = readMaterial(user, "client-key");
  const has = (name: string) => user.get(name).isSet || user.get(`${name}-data`).isSet;
  for (const [one, other] of [
    ["client-certificate", "client-key"],
    ["client-key", "client-certificate"],
  ] as const) {
    if (has(one) && !has(other)) user.error("MISSING_KEY", `a ${one} needs its ${other}`);
  }
  const token = readToken(user);
  return {
    ...(certificate === undefined || key === undefined ? {} : { certificate: { certificate, key } }),
    ...(token === undefined ? {} : { token }),
  };
}

/** A file wins over a token beside it, as with client-go, because it is the one that is renewed. */
function readToken(user: Field): TokenSource | undefined {
  const path = user.get("tokenFile").text();
  if (path) return { kind: "file", path };
  const token = user.get("token").text();
  if (token) return { kind: "token", token };
  const username = user.get("username").text();
  if (username) return { kind: "password", username, password: user.get("password").text() ?? "" };
  const exec = user.get("exec");
  return exec.isSet ? readExec(exec) : undefined;
}

const EXEC_VERSIONS = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;

function readExec(exec: Field): TokenSource | undefined {
  const version = exec.get("apiVersion");
  if (!version.isSet)
    version.error("MISSING_KEY", "a plug-in needs its apiVersion", `Supported: ${EXEC_VERSIONS.join(", ")}`);
  const apiVersion = version.word(EXEC_VERSIONS);
  const command = exec.get("command").text();
  if (command === undefined || command === "") exec.get("command").error("MISSING_KEY", "a plug-in needs its command");
  const mode = exec.get("interactiveMode");
  if (mode.text() === "Always") {
    mode.error(
      "NOT_SUPPORTED",
      "a plug-in that asks somebody at a terminal is not supported",
      "Use one that asks nobody",
    );
  }
  const env = exec
    .get("env")
    .items()
    .flatMap((item): readonly (readonly [string, string])[] => {
      const name = item.get("name").text();
      return name === undefined ? [] : [[name, item.get("value").text() ?? ""]];
    });
  if (apiVersion === undefined || command === undefined) return undefined;
  const installHint = exec.get("installHint").text();
  return {
    ...{ kind: "exec", apiVersion, command, env: new Map(env) },
    args: exec
      .get("args")
      .items()
      .flatMap((item) => item.text() ?? []),
    ...(installHint ? { installHint } : {}),
    wantsCluster: exec.get("provideClusterInfo").flag() ?? false,
  };
}

/** `key-data` in base64 wins over the path under `key`. */
function readMaterial(field: Field, key: string): Material | undefined {
  const data = field.get(`${key}-data`);
  const text = data.text();
  if (text) {
    const bytes = decodeBase64(text);
    if (bytes !== undefined) return { kind: "data", bytes };
    data.error("BAD_VALUE", "it is not base64");
    return undefined;
  }
  const path = field.get(key).text();
  return path ? { kind: "file", path } : undefined;
}

function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
