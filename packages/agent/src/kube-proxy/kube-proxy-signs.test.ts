import { once } from "node:events";
import { createServer } from "node:http";
import { parseIpAddress } from "@svcproxy/topology";
import { expect, onTestFinished, test } from "vitest";
import { hasKubeProxySynced } from "./kube-proxy-signs.ts";

const ADDRESS = "127.9.10.25";
const NOW = "2026-11-30T23:46:03.96539513Z";

test.for([
  { name: "before its first sync it is well as of now", body: { lastUpdated: NOW, status: {} }, synced: false },
  {
    name: "a family that was synced has a time of its own",
    body: { lastUpdated: NOW, status: { IPv4: { lastUpdated: NOW, healthy: true } } },
    synced: true,
  },
  { name: "an earlier version, synced", body: { lastUpdated: NOW }, synced: true },
  { name: "an earlier version, not synced yet", body: { lastUpdated: "0001-01-01T00:00:00Z" }, synced: false },
  { name: "another program", body: { status: "ok" }, synced: undefined },
])("whether a kube-proxy has written its rules: $name", async ({ body, synced }) => {
  const server = createServer((_, response) => void response.end(JSON.stringify(body)));
  onTestFinished(() => void server.close());
  await once(server.listen(10256, ADDRESS), "listening");
  const address = parseIpAddress(ADDRESS);
  if (address === undefined) throw new TypeError("no address");
  const listeners = [{ protocol: "tcp" as const, port: 10256, address, inode: 1 }];
  expect(await hasKubeProxySynced({ readListeners: async () => listeners })).toBe(synced);
});
