import { readFile, stat } from "node:fs/promises";
import type { SecureContextOptions } from "node:tls";
import { type ClusterAccess, EnvironmentError, type Material } from "@svcproxy/topology";
import { type ExecCredential, runExecPlugin } from "./exec-credential.ts";

/** What one connection is made with. */
export interface TlsCredentials extends SecureContextOptions {
  /** Changes when any of the others does. */
  readonly signature: string;
}

/** A plug-in's credential is renewed so long before it ends. */
const RENEW_BEFORE_MS = 10_000;

/** Certificates and tokens, each read again when its file has changed, and asked for again when it has run out or was refused. */
export class Credentials {
  readonly #access: ClusterAccess;
  readonly #files = new Map<string, { readonly stamp: string; readonly text: string }>();
  #exec: Promise<ExecCredential> | undefined;
  #execExpiresAt: Date | undefined;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  /** @throws EnvironmentError CREDENTIALS_UNREADABLE, EXEC_PLUGIN */
  async tls(signal: AbortSignal): Promise<TlsCredentials> {
    const { certificateAuthority, user } = this.#access;
    const exec = await this.#execCredential(signal);
    const ca = certificateAuthority === undefined ? undefined : await this.#authority(certificateAuthority);
    const own =
      user.certificate === undefined
        ? exec?.certificate
        : {
            certificate: await this.#read(user.certificate.certificate),
            key: await this.#read(user.certificate.key),
          };
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(own === undefined ? {} : { cert: own.certificate, key: own.key }),
      signature: JSON.stringify([ca, own]),
    };
  }

  /** The value of the `Authorization` header; undefined: none. @throws EnvironmentError CREDENTIALS_UNREADABLE, EXEC_PLUGIN */
  async authorization(signal: AbortSignal): Promise<string | undefined> {
    const { token } = this.#access.user;
    switch (token?.kind) {
      case undefined:
        return undefined;
      case "token":
        return bearer(token.token, "The token of the kubeconfig");
      case "file":
        return bearer((await this.#read(token)).trim(), `The token in ${JSON.stringify(token.path)}`);
      case "password":
        return `Basic ${Buffer.from(`${token.username}:${token.password}`).toString("base64")}`;
      case "exec": {
        const credential = await this.#execCredential(signal);
        return credential?.token === undefined ? undefined : `Bearer ${credential.token}`;
      }
    }
  }

  /** The server did not take them: what can be renewed is, with the next request. */
  refused(): void {
    this.#files.clear();
    this.#exec = undefined;
  }

  async #execCredential(signal: AbortSignal): Promise<ExecCredential | undefined> {
    const { user, server } = this.#access;
    if (user.token?.kind !== "exec") return undefined;
    const end = this.#execExpiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
    if (this.#exec === undefined || Date.now() > end - RENEW_BEFORE_MS) {
      this.#execExpiresAt = undefined;
      const running = runExecPlugin(user.token, { cluster: { server: server.href }, signal });
      this.#exec = running;
      try {
        this.#execExpiresAt = (await running).expiresAt;
      } catch (error) {
        if (this.#exec === running) this.#exec = undefined;
        throw error;
      }
    }
    return this.#exec;
  }

  /** Without a certificate in it, those that the system trusts would be taken. */
  async #authority(material: Material): Promise<string> {
    const text = await this.#read(material, { what: "by which the API server is known" });
    if (CERTIFICATE.test(text)) return text;
    const where =
      material.kind === "file" ? JSON.stringify(material.path) : "the kubeconfig's certificate-authority-data";
    throw unreadable(`There is no certificate (PEM) in ${where}, by which the API server is known`);
  }

  async #read(material: Material, { what = "which shows who we are to the API server" } = {}): Promise<string> {
    if (material.kind === "data") return Buffer.from(material.bytes).toString("utf8");
    const { path } = material;
    try {
      // Behind the links that a ConfigMap or a projected token swaps.
      const { mtimeMs, size, ino } = await stat(path);
      const stamp = JSON.stringify([mtimeMs, size, ino]);
      const known = this.#files.get(path);
      if (known?.stamp === stamp) return known.text;
      const text = await readFile(path, "utf8");
      this.#files.set(path, { stamp, text });
      return text;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw unreadable(`Cannot read ${JSON.stringify(path)}, ${what}: ${reason}`, cause);
    }
  }
}

const CERTIFICATE = /^-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/m;

function bearer(token: string, what: string): string {
  if (token === "") throw unreadable(`${what} is empty`);
  if (!/^[\x21-\x7e]+$/.test(token))
    throw unreadable(`${what} is none: it has blanks, or signs that are not ASCII, in it`);
  return `Bearer ${token}`;
}

function unreadable(message: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError("CREDENTIALS_UNREADABLE", message, { cause });
}
