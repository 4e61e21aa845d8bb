import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseKubeconfig } from "./parse-kubeconfig.ts";

const WHOLE = `apiVersion: v1
kind: Config
current-context: here
clusters:
  - { name: c1, cluster: { server: "https://192.0.2.1:6443", certificate-authority: pki/ca.crt, tls-server-name: api.example } }
  - { name: c2, cluster: { server: "https://[2001:db8::1]", insecure-skip-tls-verify: true } }
  - { name: c3, cluster: { server: "https://h:1", certificate-authority-data: Y2E= } }
users:
  - { name: u1, user: { client-certificate: pki/u.crt, client-key-data: a2V5 } }
  - { name: u2, user: { tokenFile: /var/run/token, token: old } }
  - name: u3
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: aws
        args: [eks, get-token]
        env: [{ name: AWS_PROFILE, value: prod }]
        provideClusterInfo: true
        installHint: Install the AWS CLI
contexts:
  - { name: here, context: { cluster: c1, user: u1 } }
  - { name: there, context: { cluster: c2, user: u2 } }
  - { name: cloud, context: { cluster: c2, user: u3 } }
  - { name: nobody, context: { cluster: c1 } }
`;

const read = (text: string, context?: string) =>
  parseKubeconfig({ file: "kube.conf", bytes: Buffer.from(text) }, { context }).access;

describe("a kubeconfig", () => {
  test("says how the API server of its current context is reached, and as whom", () => {
    expect(read(WHOLE)).toEqual({
      server: new URL("https://192.0.2.1:6443"),
      certificateAuthority: { kind: "file", path: "pki/ca.crt" },
      tlsServerName: "api.example",
      skipsVerification: false,
      user: {
        certificate: {
          certificate: { kind: "file", path: "pki/u.crt" },
          key: { kind: "data", bytes: new Uint8Array(Buffer.from("key")) },
        },
      },
    });
  });

  test("of another context too: a token's file wins over a token", () => {
    expect(read(WHOLE, "there")).toMatchObject({
      server: new URL("https://[2001:db8::1]"),
      skipsVerification: true,
      user: { token: { kind: "file", path: "/var/run/token" } },
    });
  });

  test("with a plug-in", () => {
    expect(read(WHOLE, "cloud").user.token).toEqual({
      ...{ kind: "exec", apiVersion: "client.authentication.k8s.io/v1", command: "aws", args: ["eks", "get-token"] },
      ...{ env: new Map([["AWS_PROFILE", "prod"]]), installHint: "Install the AWS CLI", wantsCluster: true },
    });
  });

  test("without a user", () => {
    expect(read(WHOLE, "nobody").user).toEqual({});
  });

  test("with an authority in itself", () => {
    const { certificateAuthority } = read(WHOLE.replace("cluster: c1, user: u1", "cluster: c3, user: u1"));
    expect(certificateAuthority).toEqual({ kind: "data", bytes: new Uint8Array(Buffer.from("ca")) });
  });

  test("with keys that it does not have: they are named, with what may be meant", () => {
    const typed = WHOLE.replace("certificate-authority: pki", "certificate-authorty: pki").replace(
      "client-certificate: pki/u.crt",
      "client-certificate: pki/u.crt, expires: never",
    );
    expect(parseKubeconfig({ file: "kube.conf", bytes: Buffer.from(typed) }).warnings).toMatchObject([
      { code: "UNKNOWN_KEY", at: { line: 5 }, hint: "Did you mean `certificate-authority`?" },
      { code: "UNKNOWN_KEY", at: { line: 9 }, message: expect.stringContaining("users[0].user.expires") },
    ]);
    expect(parseKubeconfig({ file: "kube.conf", bytes: Buffer.from(WHOLE) }).warnings).toEqual([]);
  });

  test("in JSON", () => {
    const config = {
      ...{ "current-context": "x", contexts: [{ name: "x", context: { cluster: "c", user: "u" } }] },
      clusters: [{ name: "c", cluster: { server: "https://h:1" } }],
      users: [{ name: "u", user: { token: "t" } }],
    };
    expect(read(JSON.stringify(config)).user.token).toEqual({ kind: "token", token: "t" });
  });
});

test.for([
  {
    name: "no current context",
    edit: ["current-context: here", ""],
    code: "MISSING_KEY",
    line: 1,
    text: /no context is the current one/,
  },
  {
    name: "an unknown context",
    edit: ["current-context: here", "current-context: her"],
    code: "UNKNOWN_VALUE",
    line: 3,
    text: /no context "her"/,
  },
  {
    name: "an unknown cluster",
    edit: ["cluster: c1, user: u1", "cluster: c9, user: u1"],
    code: "UNKNOWN_VALUE",
    line: 21,
    text: /no cluster "c9"/,
  },
  {
    name: "an unknown user",
    edit: ["cluster: c1, user: u1", "cluster: c1, user: u9"],
    code: "UNKNOWN_VALUE",
    line: 21,
    text: /no user "u9"/,
  },
  {
    name: "a server that is no URL",
    edit: ['"https://192.0.2.1:6443"', '"192.0.2.1:6443"'],
    code: "BAD_ADDRESS",
    line: 5,
    text: /not a URL/,
  },
  {
    name: "a proxy",
    edit: ["tls-server-name: api.example", "proxy-url: http://p:3128"],
    code: "NOT_SUPPORTED",
    line: 5,
    text: /proxy/,
  },
  {
    name: "a certificate without its key",
    edit: [", client-key-data: a2V5", ""],
    code: "MISSING_KEY",
    line: 9,
    text: /needs its client-key/,
  },
  {
    name: "an authority beside any certificate will do",
    edit: ["tls-server-name: api.example", "insecure-skip-tls-verify: true"],
    code: "CONFLICTING_KEYS",
    line: 5,
    text: /any certificate will do/,
  },
  { name: "a key that is not base64", edit: ["a2V5", "'***'"], code: "BAD_VALUE", line: 9, text: /base64/ },
  {
    name: "another kind",
    edit: ["kind: Config", "kind: Pod"],
    code: "UNKNOWN_VALUE",
    line: 2,
    text: /not a kubeconfig/,
  },
] as const)("$name is refused where it stands", ({ edit: [from, to], code, line, text }) => {
  const faults = faultsOf(WHOLE.replace(from, to));
  expect(faults).toMatchObject([{ code, message: expect.stringMatching(text), at: { file: "kube.conf", line } }]);
});

test.for([
  { name: "to act as another user", user: "{ as: root, token: t }" },
  { name: "an auth-provider", user: "{ auth-provider: { name: gcp } }" },
  {
    name: "a plug-in that asks",
    user: "{ exec: { apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always } }",
  },
])("$name is refused in words", ({ user }) => {
  const text = WHOLE.replace("{ client-certificate: pki/u.crt, client-key-data: a2V5 }", user);
  expect(faultsOf(text)).toMatchObject([{ code: "NOT_SUPPORTED", at: { line: 9 }, hint: expect.any(String) }]);
});

test("an empty one is told what it is to be", () => {
  expect(faultsOf("# nothing\n")).toMatchObject([{ code: "EMPTY_FILE", hint: expect.stringMatching(/kind: Config/) }]);
});

function faultsOf(text: string) {
  try {
    read(text);
  } catch (error) {
    if (error instanceof InputError) return error.faults;
    throw error;
  }
  throw new Error("it was read");
}
