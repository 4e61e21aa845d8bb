import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect, test } from "vitest";
import { realProber } from "./prober.ts";

test("where no way leads a datagram is told as unreachable, and nothing is left to fail later", async () => {
  // A broadcast address, to which a socket is not connected unless it asks to be.
  expect(await realProber.dialUdp("255.255.255.255", 9)).toBe("unreachable");
});

test("of UDP, who refuses is told from who says nothing", async () => {
  const silent = createSocket("udp4");
  silent.bind(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address();
  expect(await realProber.dialUdp("127.0.0.1", port)).toBe("timeout");
  silent.close();
  await once(silent, "close");
  expect(await realProber.dialUdp("127.0.0.1", port)).toBe("refused");
});
