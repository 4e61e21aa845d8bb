import { environmentWithSbin, runTool } from "@svcproxy/host";
import { EnvironmentError, type ExecPlugin } from "@svcproxy/topology";
import { type ApiObject, objectOf, textOf } from "./api-error.ts";

/** What a plug-in gave. */
export interface ExecCredential {
  readonly token?: string;
  readonly certificate?: { readonly certificate: string; readonly key: string };
  /** Undefined: until it is refused. */
  readonly expiresAt?: Date;
}

/** A plug-in asks a cloud's server, as a rule. */
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 1 << 20;

/**
 * Runs a credential plug-in, which is asked nothing at a terminal.
 *
 * @throws EnvironmentError EXEC_PLUGIN, saying what it printed to stderr
 * @see client-go credential plugins, client.authentication.k8s.io
 */
export async function runExecPlugin(
  plugin: ExecPlugin,
  { cluster, signal }: { readonly cluster: object; readonly signal: AbortSignal },
): Promise<ExecCredential> {
  const { apiVersion, command, args, env, installHint, wantsCluster } = plugin;
  const info = {
    apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...(wantsCluster ? { cluster } : {}) },
  };
  const fail = (reason: string, cause?: unknown) =>
    new EnvironmentError(
      "EXEC_PLUGIN",
      `The credential plug-in ${JSON.stringify(command)} of the kubeconfig ${reason}`,
      {
        cause,
        ...(installHint === undefined ? {} : { hint: installHint }),
      },
    );
  let output: Awaited<ReturnType<typeof runTool>>;
  try {
    output = await runTool(command, args, {
      ...{ signal, timeoutMs: TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES },
      env: { ...environmentWithSbin(), ...Object.fromEntries(env), KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
    throw fail(`could not be run: ${error.message}`, error);
  }
  if (output.exitCode !== 0) throw fail(`ended with ${output.exitCode}: ${output.stderr.trim().slice(0, 300)}`);
  return readCredential(output.stdout, { apiVersion, fail });
}

function readCredential(
  text: string,
  { apiVersion, fail }: { readonly apiVersion: string; readonly fail: (reason: string) => EnvironmentError },
): ExecCredential {
  let credential: ApiObject;
  try {
    credential = objectOf(JSON.parse(text));
  } catch {
    throw fail("did not print JSON");
  }
  if (credential["kind"] !== "ExecCredential" || credential["apiVersion"] !== apiVersion) {
    throw fail(`did not print an ExecCredential of ${apiVersion}`);
  }
  const status = objectOf(credential["status"]);
  const [token, certificate, key] = [
    textOf(status["token"]),
    textOf(status["clientCertificateData"]),
    textOf(status["clientKeyData"]),
  ];
  if (!token && (!certificate || !key)) throw fail("gave neither a token nor a certificate with its key");
  const expires = Date.parse(textOf(status["expirationTimestamp"]) ?? "");
  return {
    ...(token ? { token } : {}),
    ...(certificate && key ? { certificate: { certificate, key } } : {}),
    ...(Number.isNaN(expires) ? {} : { expiresAt: new Date(expires) }),
  };
}
