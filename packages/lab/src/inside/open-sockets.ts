/**
 * A program for `node -e`: opens sockets in the network namespace that it was started in, and hands them to its parent. A
 * socket stays in the namespace of its birth, so one server process can answer in many.
 *
 * It is text and not a module because it starts once for each pod: there is nothing to find, to strip of types or to cache,
 * and it is the same where all of svcproxy is one bundled file. Its argument is the sockets of a `PodServer` as JSON.
 */
export const OPEN_SOCKETS = `
const { createServer } = require("node:net");
const { createSocket } = require("node:dgram");
const { once } = require("node:events");
const handOver = (socket) => new Promise((resolve, reject) => {
  process.send(null, socket, (error) => (error ? reject(error) : resolve()));
});
(async () => {
  for (const { address, port } of JSON.parse(process.argv[1])) {
    const server = createServer().listen({ host: address, port, backlog: 4096 });
    await once(server, "listening");
    await handOver(server);
    const datagrams = createSocket(address.includes(":") ? "udp6" : "udp4").bind(port, address);
    await once(datagrams, "listening");
    await handOver(datagrams);
  }
  process.exit(0);
})();
`;
