import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ip, portOf, someVip } from "../testing/loopback-plan.ts";
import { freePort, startEcho } from "../testing/test-server.ts";
import type { ByteStream, DialOwner, StreamOwner } from "./byte-stream.ts";
import { handleDataPlane } from "./handle-streams.ts";
import { loadNativeHandles } from "./native-handles.ts";

const native = loadNativeHandles();
if (native === undefined) throw new Error("this Node has no native handles of the known shape");
const plane = handleDataPlane(native);

/** Sends everything back; remembers the sizes of the reads. */
class Echo implements StreamOwner {
  readonly reads: number[] = [];

  onBytes(from: ByteStream, bytes: Uint8Array): void {
    this.reads.push(bytes.length);
    if (!from.write(bytes)) from.stopReading();
  }
  onWritten(to: ByteStream): void {
    to.startReading();
  }
  onEnd(from: ByteStream): void {
    from.close();
  }
  onFault(from: ByteStream): void {
    from.close();
  }
}

async function accepted(): Promise<{ stream: ByteStream; echo: Echo; client: ReturnType<typeof connect> }> {
  const [address, port] = [ip(someVip()), 7575];
  const listener = plane.bind(address, port);
  onTestFinished(() => listener.close());
  const arrived = new Promise<ByteStream>((resolve) => listener.accept(16, resolve));
  const client = connect({ host: address, port });
  onTestFinished(() => {
    client.destroy();
  });
  const stream = await arrived;
  const echo = new Echo();
  stream.owner = echo;
  stream.startReading();
  return { stream, echo, client };
}

async function sendAndHear(client: ReturnType<typeof connect>, bytes: Buffer): Promise<Buffer> {
  const parts: Buffer[] = [];
  const heard = new Promise<void>((resolve) => {
    const onData = (part: Buffer) => {
      parts.push(part);
      if (parts.reduce((sum, { length }) => sum + length, 0) < bytes.length) return;
      client.off("data", onData);
      resolve();
    };
    client.on("data", onData);
  });
  client.write(bytes);
  await heard;
  return Buffer.concat(parts);
}

test("reads grow in a burst, are small again after a rest, and grow in the next burst", async () => {
  const { stream, echo, client } = await accepted();
  for (let burst = 0; burst < 3; burst++) {
    echo.reads.length = 0;
    const bytes = randomBytes(4 * 1024 * 1024);
    expect((await sendAndHear(client, bytes)).equals(bytes)).toBe(true);
    expect(echo.reads[0]).toBeLessThanOrEqual(2 * 1024);
    expect(Math.max(...echo.reads)).toBeGreaterThan(64 * 1024);
    stream.trim();
  }
});

test("an accepted stream knows its peer", async () => {
  const { stream, client } = await accepted();
  expect(stream.peer()).toEqual({ address: client.localAddress, port: client.localPort });
});

class Outcome implements DialOwner {
  readonly result = Promise.withResolvers<string>();
  onDialled(stream: ByteStream): void {
    stream.close();
    this.result.resolve("connected");
  }
  onDialFailed(code: string): void {
    this.result.resolve(code);
  }
}

test("a dial says how it went, and nothing after it was cancelled", async () => {
  const echo = await startEcho();
  const dial = async (address: string, port: number) => {
    const outcome = new Outcome();
    plane.dial({ address: ip(address), port: portOf(port) }, outcome);
    return outcome.result.promise;
  };
  expect(await dial("127.0.0.1", echo.port)).toBe("connected");
  expect(await dial("127.0.0.1", await freePort())).toBe("ECONNREFUSED");
  expect(await dial("255.255.255.255", 80)).toMatch(/^E(NETUNREACH|ACCES)$/);
  const cancelled = new Outcome();
  plane.dial({ address: ip("127.0.0.1"), port: portOf(echo.port) }, cancelled).cancel();
  const waited = new Promise((resolve) => setTimeout(resolve, 50, "silence"));
  expect(await Promise.race([cancelled.result.promise, waited])).toBe("silence");
});

test("a stream that was closed does nothing more", async () => {
  const { stream, client } = await accepted();
  stream.close();
  stream.reset();
  stream.finish();
  stream.trim();
  stream.startReading();
  expect(stream.write(Buffer.from("x"))).toBe(true);
  expect([stream.pendingBytes(), stream.peer()]).toEqual([0, undefined]);
  await once(client.resume(), "end");
});

test("a stream that is reset while its FIN still waits lets go of its socket", async () => {
  const { stream, client } = await accepted();
  client.pause();
  stream.owner = { onBytes: () => {}, onEnd: () => {}, onFault: () => {}, onWritten: () => {} };
  let sent = 1024 * 1024;
  while (stream.write(Buffer.alloc(1024 * 1024))) sent += 1024 * 1024; // until the FIN has to wait
  let heard = 0;
  client.on("data", (bytes) => {
    heard += bytes.length;
  });
  client.on("error", () => {});
  const gone = once(client, "close");
  stream.finish();
  stream.reset();
  client.resume();
  await gone;
  expect(heard).toBeLessThan(sent); // a handle that did not let go would deliver all of it first
});
