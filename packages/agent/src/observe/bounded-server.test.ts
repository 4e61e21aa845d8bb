import { once } from "node:events";
import { connect, type Socket } from "node:net";
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

test.for([
  { name: "that says nothing", says: "" },
  { name: "whose head does not end", says: "GET / HTTP/1.1\r\nx: " },
  { name: "whose body does not come", says: "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n" },
  { name: "that was answered", says: "GET /now HTTP/1.1\r\nhost: a\r\n\r\n" },
])("a connection $name is closed within its timeouts", { timeout: 30_000 }, async ({ says }) => {
  const { open, pool } = await serve(10);
  const client = await open();
  client.socket.write(says);
  await vi.waitFor(() => expect(client.isClosed).toBe(true), { timeout: 20_000 });
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
  const open = async () => {
    const socket = connect(address.port, "127.0.0.1");
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
  return { open, pool, answerAll: Object.assign(answerAll, { isAsked }) };
}
