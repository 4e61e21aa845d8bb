import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { EtcdClient } from "./etcd-client.ts";
import { readEtcdSettings } from "./etcd-settings.ts";
import { commit, prefixRange, readRange } from "./etcd-store.ts";
import { watchRange } from "./etcd-watch.ts";

const reason = whyNoEtcd();
const doing = "write what the test needs";

describe.skipIf(reason !== undefined).for(ETCDS)(`with %s${reason === undefined ? "" : ` (${reason})`}`, (program) => {
  test("by TLS, with a certificate of our own, a user and a password", async () => {
    const folder = await mkdtemp(join(tmpdir(), "svcproxy-tls-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    makeCertificates(folder);
    const flags = ["--cert-file", `${folder}/server.pem`, "--key-file", `${folder}/server.key`];
    const trust = ["--client-cert-auth", "--trusted-ca-file", `${folder}/ca.pem`];
    // The token of this one lapses after a second.
    await using etcd = await RealEtcd.start({
      program,
      scheme: "https",
      flags: [...flags, ...trust, "--auth-token-ttl", "1"],
    });
    const [{ port }] = etcd.settings.endpoints;
    const url = `etcd://127.0.0.1:${port}/svcproxy?ca=${folder}/ca.pem&cert=${folder}/client.pem&key=${folder}/client.key`;
    const open = clientOf(url);
    for (const [path, body] of [
      ["auth/role/add", { name: "root" }],
      ["auth/user/add", { name: "root", password: "p@ss:/w" }],
      ["auth/user/grant", { user: "root", role: "root" }],
      ["auth/enable", {}],
    ] as const)
      await open.call(path, body, { doing });
    await expect(readRange(open, prefixRange("/svcproxy/"))).rejects.toMatchObject({ failure: "refused" });
    await expect(readRange(clientOf(url.replaceAll("client.", "named.")), prefixRange("/"))).rejects.toMatchObject({
      hint: expect.stringContaining("CommonName"),
    });
    await writeFile(join(folder, "password"), "p@ss:/w\n");
    const settings = `endpoints: ["https://127.0.0.1:${port}"]\nca: ${folder}/ca.pem\ncert: ${folder}/client.pem\nkey: ${folder}/client.key\nuser: root\npasswordFile: ${folder}/password\n`;
    await writeFile(join(folder, "etcd.yaml"), settings);
    for (const client of [
      clientOf(url.replace("etcd://", "etcds://root:p%40ss%3A%2Fw@")),
      clientOf(undefined, join(folder, "etcd.yaml")),
    ]) {
      await commit(client, [{ kind: "put", key: "/svcproxy/a", value: "1" }], { doing });
      expect((await readRange(client, prefixRange("/svcproxy/"))).entries).toHaveLength(1);
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      expect((await readRange(client, prefixRange("/svcproxy/"))).entries).toHaveLength(1);
      for await (const { events } of watchRange(client, prefixRange("/svcproxy/"), { from: 1 })) {
        if (events.length > 0) break;
      }
    }
    await expect(readRange(clientOf(`etcds://127.0.0.1:${port}`), prefixRange("/"))).rejects.toThrow(/certificate|CA/);
    await expect(readRange(clientOf(`etcd://127.0.0.1:${port}`), prefixRange("/"))).rejects.toMatchObject({
      code: expect.stringMatching(/ETCD_(UNREACHABLE|FAILED)/),
    });
    await expect(readFile(join(folder, "etcd.yaml"), "utf8")).resolves.toBe(settings);
  });
});

function clientOf(url: string | undefined, settingsFile?: string): EtcdClient {
  const client = new EtcdClient(
    readEtcdSettings({
      ...(url === undefined ? {} : { url }),
      ...(settingsFile === undefined ? {} : { settingsFile }),
    }),
  );
  onTestFinished(() => client.close());
  return client;
}

/** A CA, a server of 127.0.0.1 and a client, of elliptic curves because those are quick. */
function makeCertificates(folder: string): void {
  const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA", "-days", "2");
  for (const name of ["server", "client", "named"]) {
    openssl(
      "req",
      ...key,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      name === "client" ? "/O=svcproxy" : `/CN=${name}`,
      "-addext",
      "subjectAltName=IP:127.0.0.1",
    );
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-copy_extensions",
      "copy",
      "-out",
      `${name}.pem`,
    );
  }
}
