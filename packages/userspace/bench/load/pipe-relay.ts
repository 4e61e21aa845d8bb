// What a Node proxy looks like at first: two sockets, piped into each other. Arguments: PORT TARGET-PORT …
import { connect, createServer } from "node:net";
import process from "node:process";

const ports = process.argv.slice(2).map(Number);
for (let index = 0; index + 1 < ports.length; index += 2) {
  const target = ports[index + 1] ?? 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    client.pipe(upstream);
    upstream.pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  server.listen({ port: ports[index] ?? 0, host: "127.0.0.1", backlog: 4096 });
}
