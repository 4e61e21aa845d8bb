import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import {
  type ClusterAccess,
  type ClusterUser,
  type Fault,
  inputError,
  type Material,
  parseKubeconfig,
  type TokenSource,
} from "@svcproxy/topology";

export interface LoadedAccess {
  readonly access: ClusterAccess;
  readonly warnings: readonly Fault[];
}

/** What every pod gets of its service account. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * How the API server is reached: as a kubeconfig says, else as the service account of the pod that we run in.
 *
 * @throws InputError with every fault of the kubeconfig; FILE_UNREADABLE; NO_CLUSTER where there is neither
 */
export async function loadClusterAccess({
  kubeconfig,
  context,
}: {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}): Promise<LoadedAccess> {
  if (kubeconfig === undefined) {
    if (context !== undefined) {
      throw inputError("CONFLICTING_FLAGS", "--context names a context of a kubeconfig, and none is given", {
        hint: "Give it with --kubeconfig",
      });
    }
    return { access: inCluster(), warnings: [] };
  }
  const bytes = await readFile(kubeconfig).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw inputError("FILE_UNREADABLE", `Cannot read the kubeconfig ${JSON.stringify(kubeconfig)}: ${reason}`, {
      cause,
    });
  });
  const { access, warnings } = parseKubeconfig({ file: kubeconfig, bytes }, { context });
  return { access: fromFolder(access, dirname(resolve(kubeconfig))), warnings };
}

/** @throws InputError NO_CLUSTER */
function inCluster(): ClusterAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = process.env;
  if (!host || !existsSync(`${SERVICE_ACCOUNT}/token`)) {
    throw inputError(
      "NO_CLUSTER",
      "Cannot find the API server: no kubeconfig is given, and this is not a pod of a cluster",
      { hint: `Give one: --kubeconfig ${usualKubeconfig()}` },
    );
  }
  return {
    server: new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    certificateAuthority: { kind: "file", path: `${SERVICE_ACCOUNT}/ca.crt` },
    skipsVerification: false,
    user: { token: { kind: "file", path: `${SERVICE_ACCOUNT}/token` } },
  };
}

/** Where one is on this machine, by kubectl's own place, kubeadm and k3s; else where kubeadm would have it. */
function usualKubeconfig(): string {
  const { KUBECONFIG, HOME } = process.env;
  const first = KUBECONFIG?.split(":").find((path) => path !== "");
  const places = [
    ...["/etc/kubernetes/kube-proxy.conf", "/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml"],
    ...(HOME === undefined ? [] : [join(HOME, ".kube/config")]),
  ];
  return first ?? places.find((path) => existsSync(path)) ?? "/etc/kubernetes/kube-proxy.conf";
}

/** Paths of a kubeconfig start from its own folder. */
function fromFolder(access: ClusterAccess, folder: string): ClusterAccess {
  const material = (of: Material): Material => (of.kind === "data" ? of : { ...of, path: resolve(folder, of.path) });
  const { certificateAuthority, user } = access;
  return {
    ...access,
    ...(certificateAuthority === undefined ? {} : { certificateAuthority: material(certificateAuthority) }),
    user: userFrom(user, { folder, material }),
  };
}

function userFrom(
  { certificate, token }: ClusterUser,
  { folder, material }: { readonly folder: string; readonly material: (of: Material) => Material },
): ClusterUser {
  return {
    ...(certificate === undefined
      ? {}
      : { certificate: { certificate: material(certificate.certificate), key: material(certificate.key) } }),
    ...(token === undefined ? {} : { token: tokenFrom(token, folder) }),
  };
}

/** A plug-in without a slash is looked for in PATH. */
function tokenFrom(token: TokenSource, folder: string): TokenSource {
  if (token.kind === "file") return { ...token, path: resolve(folder, token.path) };
  if (token.kind === "exec" && token.command.includes("/"))
    return { ...token, command: resolve(folder, token.command) };
  return token;
}
