// Accepts connections and leaves them alone. Argument: PORT
import { createServer } from "node:net";
import process from "node:process";

createServer((socket) => socket.on("error", () => {})).listen({
  port: Number(process.argv[2]),
  host: "127.0.0.1",
  backlog: 8192,
});
