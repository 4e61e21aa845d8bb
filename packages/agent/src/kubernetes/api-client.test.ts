import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { ClusterUser, ExecPlugin } from "@svcproxy/topology";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { TestApiServer } from "../testing/test-api-server.ts";
import { ApiClient } from "./api-client.ts";
import { ApiError, explainApiError, statusOf } from "./api-error.ts";

let folder = "";
const file = (name: string) => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-pki-"));
  const script = `
    set -e
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -subj /CN=ca -days 2 -out ca.crt
    for name in server client; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $name.key -subj /CN=$name -out $name.csr
      printf 'subjectAltName=DNS:api.example' > $name.ext
      openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $name.crt -extfile $name.ext
    done`;
  execFileSync("sh", ["-c", script], { cwd: folder, stdio: "pipe" });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function startServer(isSecure: boolean): Promise<TestApiServer> {
  const [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map((name) => readFileSync(file(name)));
  const server = await TestApiServer.start(
    isSecure ? { secure: { cert, key, ca, requestCert: true, rejectUnauthorized: true } } : {},
  );
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

function clientOf(server: TestApiServer, user: ClusterUser, access: object = {}): ApiClient {
  const client = new ApiClient({ server: server.url, skipsVerification: false, user, ...access }, { version: "1" });
  onTestFinished(() => client[Symbol.dispose]());
  return client;
}

const ask = (client: ApiClient, signal = new AbortController().signal) =>
  client.get({ path: "/api/v1/services", query: {}, signal });

const CERTIFICATE = () => ({
  certificate: { kind: "file" as const, path: file("client.crt") },
  key: { kind: "data" as const, bytes: readFileSync(file("client.key")) },
});

test("what comes of a compressed refusal that is too long to be read harms nobody", async () => {
  const sent = Promise.withResolvers<void>();
  const body = gzipSync(randomBytes(1 << 20));
  const server = createHttpServer((_request, response) => {
    response.on("close", () => sent.resolve());
    response.writeHead(500, { "content-encoding": "gzip" });
    response.write(body.subarray(0, body.length / 2));
    let at = body.length / 2;
    const timer = setInterval(() => {
      if (at < body.length && !response.destroyed) response.write(body.subarray(at, at + 50_000));
      else {
        clearInterval(timer);
        response.end();
      }
      at += 50_000;
    }, 5);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const access = { server: new URL(`http://127.0.0.1:${port}`), skipsVerification: false, user: {} };
  using client = new ApiClient(access, { version: "1" });
  await expect(ask(client)).rejects.toMatchObject({ status: { code: 500 } });
  // An error that nobody catches fails the test.
  await sent.promise;
});

describe("over TLS", () => {
  test("the server is known by its authority and name, and knows us by a certificate", async () => {
    const server = await startServer(true);
    const authority = { kind: "file", path: file("ca.crt") };
    const user = { certificate: CERTIFICATE() };
    const client = clientOf(server, user, { certificateAuthority: authority, tlsServerName: "api.example" });
    expect(await ask(client)).toMatchObject({ kind: "ServiceList" });
    // Without the name it is another one's certificate, without the authority nobody's.
    await expect(ask(clientOf(server, user, { certificateAuthority: authority }))).rejects.toThrow(/does not match/);
    const stranger = await ask(clientOf(server, user, { tlsServerName: "api.example" })).catch(
      (error: unknown) => error,
    );
    expect(explainApiError(stranger, { what: "list services", server: "here" })).toMatchObject({
      code: "API_UNREACHABLE",
      message: expect.stringMatching(/^Cannot list services at here: its certificate is not of the authority/),
    });
    expect(await ask(clientOf(server, user, { skipsVerification: true }))).toMatchObject({ kind: "ServiceList" });
  });
});

test.for([
  { name: "of another certificate", key: () => readFileSync(file("ca.key")), says: /do not belong together/ },
  { name: "that is none", key: () => Buffer.from("abc"), says: /is not PEM/ },
])("a key $name is told as what it is, not as a server that cannot be reached", async ({ key, says }) => {
  const server = await startServer(true);
  const certificate = { ...CERTIFICATE(), key: { kind: "data" as const, bytes: key() } };
  const error = await ask(clientOf(server, { certificate })).catch((reason: unknown) => reason);
  expect(explainApiError(error, { what: "list services", server: "here" })).toMatchObject({
    ...{ code: "CREDENTIALS_UNREADABLE", message: expect.stringMatching(says) },
  });
});

test.for([
  { name: "empty", text: "" },
  { name: "anything else", text: "not a certificate\n" },
])("an authority that is $name is told, and is not those that the system trusts", async ({ text }) => {
  const server = await startServer(true);
  writeFileSync(file("none.crt"), text);
  const authorities = [
    { kind: "file", path: file("none.crt") },
    { kind: "data", bytes: Buffer.from(text) },
  ] as const;
  for (const certificateAuthority of authorities) {
    await expect(ask(clientOf(server, {}, { certificateAuthority }))).rejects.toMatchObject({
      ...{
        code: "CREDENTIALS_UNREADABLE",
        message: expect.stringMatching(/no certificate .* the API server is known/),
      },
    });
  }
  const missing = { kind: "file", path: file("missing.crt") } as const;
  await expect(ask(clientOf(server, {}, { certificateAuthority: missing }))).rejects.toThrow(
    /missing\.crt", by which the API server is known/,
  );
  expect(server.requests).toEqual([]);
});

test("who takes a connection and says nothing is not waited for as long as an answer is", async () => {
  const mute = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void mute.close());
  mute.on("connection", (socket) => onTestFinished(() => void socket.destroy()));
  await once(mute, "listening");
  const address = mute.address();
  if (address === null || typeof address === "string") throw new TypeError("it has no port");
  const server = new URL(`https://127.0.0.1:${address.port}`);
  const client = new ApiClient({ server, skipsVerification: true, user: {} }, { version: "0", connectMs: 50 });
  onTestFinished(() => client[Symbol.dispose]());
  await expect(ask(client)).rejects.toThrow("there was no connection in time");
});

test("who is nobody to the server is told to show something, not to be bound to a role", () => {
  const text = (user: string) => `services is forbidden: User ${JSON.stringify(user)} cannot list resource "services"`;
  const hintFor = (user: string) => {
    const status = statusOf(403, text(user));
    return explainApiError(new ApiError(status.message, { status }), { what: "list services", server: "here" }).hint;
  };
  expect(hintFor("system:anonymous")).toMatch(/does not know who asks/);
  expect(hintFor("nobody")).toMatch(/system:node-proxier/);
});

describe("a token", () => {
  test("in a file is read again when it was renewed", async () => {
    const server = await startServer(false);
    writeFileSync(file("token"), "first\n");
    const client = clientOf(server, { token: { kind: "file", path: file("token") } });
    await ask(client);
    writeFileSync(file("token"), "second\n");
    await ask(client);
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer first", "Bearer second"]);
  });

  test.for([
    { text: " \n", says: /token" is empty/ },
    { text: "one\ntwo\n", says: /token" is none: it has blanks/ },
    { text: "gültig\n", says: /not ASCII/ },
  ])("that cannot be one is not shown to the server: $text", async ({ text, says }) => {
    const server = await startServer(false);
    writeFileSync(file("token"), text);
    await expect(ask(clientOf(server, { token: { kind: "file", path: file("token") } }))).rejects.toThrow(says);
    expect(server.requests).toEqual([]);
  });

  test("that ran out is asked of the plug-in once more, and only then told", async () => {
    const server = await startServer(false);
    const client = clientOf(server, { token: pluginOf("date +%s%N") });
    server.script = ({ headers }) =>
      server.requests.length === 1 || headers.authorization === undefined ? { recorded: "401-bad-token" } : undefined;
    expect(await ask(client)).toMatchObject({ kind: "ServiceList" });
    const [first, second] = server.requests.map(({ headers }) => headers.authorization);
    expect(first).toMatch(/^Bearer \d+$/);
    expect(second).not.toBe(first);
    await ask(client);
    expect(server.requests[2]?.headers.authorization).toBe(second);
    server.script = () => ({ recorded: "401-bad-token" });
    await expect(ask(client)).rejects.toThrow("Unauthorized");
  });
});

test.for([
  { name: "fails", script: "echo not logged in >&2; exit 3", text: /"sh".* ended with 3: not logged in/ },
  { name: "prints something else", script: "echo hello", text: /did not print JSON/ },
  {
    name: "gives nothing",
    script: `echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}'`,
    text: /neither a token/,
  },
])("a plug-in that $name is named", async ({ script, text }) => {
  const server = await startServer(false);
  const client = clientOf(server, { token: { ...pluginOf(""), args: ["-c", script] } });
  await expect(ask(client)).rejects.toThrow(text);
  expect(server.requests).toEqual([]);
});

/** A plug-in whose token is what a command prints. */
function pluginOf(command: string): { readonly kind: "exec" } & ExecPlugin {
  const credential = `printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"%s"}}' "$(${command})"`;
  return {
    ...{ kind: "exec", apiVersion: "client.authentication.k8s.io/v1", command: "sh", args: ["-c", credential] },
    ...{ env: new Map(), wantsCluster: false },
  };
}

test("what was asked is counted by its answer, or as none; only whole answers are timed", async () => {
  const server = await startServer(false);
  const client = clientOf(server, {});
  await ask(client);
  server.script = () => ({ recorded: "403-nobody" });
  await expect(ask(client)).rejects.toThrow();
  await server.kill();
  await expect(ask(client)).rejects.toThrow();
  await expect(ask(client, AbortSignal.abort())).rejects.toThrow();
  const { host, codes, times } = client.requests;
  expect([host, Object.fromEntries(codes)]).toEqual([server.url.host, { 200: 1, 403: 1, "<error>": 1 }]);
  expect(times.count).toBe(1);
});
