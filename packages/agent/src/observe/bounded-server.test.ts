import { once } from "node:events";
import { connect, Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { ConnectionPool, createBoundedServer } from "./bounded-server.ts";

test("at the limit the connection that has asked nothing for longest makes room", async () => {
  const { open, pool } = await serve(2);
  const [first, second, third] = [await open(), await open(), await open()];
  await vi.waitFor(() => expect([first.isClosed, second.isClosed, third.isClosed]).toEqual([true, false, false]));
  expect(pool.size).toBe(2);
});

test("one that is being answered stays, and where all are nobody else comes in", async () => {
  const { open, answerAll } = await serve(2);
  const [first, second] = [await open(), await open()];
  for (const { socket } of [first, second]) socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await answerAll.isAsked(2);
  const third = await open();
  await vi.waitFor(() => expect(third.isClosed).toBe(true));
  answerAll();
  await vi.waitFor(() => expect(first.text).toContain("200 OK"));
  expect(second.text).toContain("200 OK");
});

test("whoever opens connections again and again keeps nobody out who asks", async () => {
  const { open, pool, port } = await serve(2);
  let isOver = false;
  const flooding = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "close").catch(() => {});
    }
  });
  for (let round = 0; round < 50; round++) {
    const client = await open("GET /now HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    await vi.waitFor(() => expect(client.isClosed).toBe(true));
    expect(client.text).toContain("200 OK");
    expect(pool.size).toBeLessThanOrEqual(2 + 16);
  }
  isOver = true;
  // Each pushes an older one out, until the last of the flood is closed.
  const ended = Promise.all(flooding).then(() => "ended");
  while ((await Promise.race([ended, open()])) !== "ended");
});

test.for([
  { name: "that says nothing", says: "" },
  { name: "whose head does not end", says: "GET / HTTP/1.1\r\nx: " },
  { name: "whose body does not come", says: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n" },
  { name: "that was answered", says: "GET /now HTTP/1.1\r\nhost: a\r\n\r\n" },
])("a connection $name is closed within its timeouts", { timeout: 300_000 }, async ({ says }) => {
  const { open, pool } = await serve(10);
  const client = await open();
  client.socket.write(says);
  await vi.waitFor(() => expect(client.isClosed).toBe(true));
  expect(pool.size).toBe(0);
});

test("a head of more than 8 KiB is refused", async () => {
  const { open } = await serve(10);
  const client = await open();
  client.socket.write(`GET / HTTP/1.1\r\nx: ${"y".repeat(9_000)}\r\n\r\n`);
  await vi.waitFor(() => expect(client.text).toContain("431"));
});

/** A server that answers `/now` at once, and all else when it is told to. */
async function serve(limit: number) {
  const pool = new ConnectionPool(limit);
  const waiting: (() => void)[] = [];
  const server = createBoundedServer((request, response) => {
    request.resume();
    if (request.url === "/now") response.end("now");
    else waiting.push(() => response.end("later"));
  }, pool);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  /** @param says is sent with the connection */
  const open = async (says = "") => {
    const socket = connect(address.port, "127.0.0.1");
    if (says !== "") socket.write(says);
    onTestFinished(() => void socket.destroy());
    const client: { socket: Socket; text: string; isClosed: boolean } = { socket, text: "", isClosed: false };
    socket.setEncoding("utf8").on("data", (text) => {
      client.text += String(text);
    });
    socket
      .on("error", () => {})
      .on("close", () => {
        client.isClosed = true;
      });
    await once(socket, "connect");
    return client;
  };
  const answerAll = () => waiting.splice(0).forEach((answer) => void answer());
  const isAsked = (count: number) => vi.waitFor(() => expect(waiting).toHaveLength(count));
  return { open, pool, port: address.port, answerAll: Object.assign(answerAll, { isAsked }) };
}

test("the client with the most connections that ask nothing makes room, however old the others are", () => {
  const pool = new ConnectionPool(3);
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const arrive = (remoteAddress: string) => {
    const socket = new Socket();
    Object.defineProperty(socket, "remoteAddress", { value: remoteAddress });
    pool.enter(socket);
    vi.runAllTimers();
    return socket;
  };
  const honest = arrive("192.0.2.1");
  const flood = ["198.51.100.7", "::ffff:198.51.100.7", "198.51.100.7"].map(arrive);
  expect(honest.destroyed).toBe(false);
  expect(flood.map(({ destroyed }) => destroyed)).toEqual([true, false, false]);
});
