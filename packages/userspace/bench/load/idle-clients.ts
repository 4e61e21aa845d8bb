// Opens COUNT connections to ADDRESS PORT, a few at a time, says so on stdout, and keeps them until stdin ends.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import process from "node:process";

const [address = "", port = "", count = ""] = process.argv.slice(2);
const AT_A_TIME = 50;
const sockets: Socket[] = [];
let failed = 0;

while (sockets.length + failed < Number(count)) {
  const batch = Array.from({ length: AT_A_TIME }, () => connect({ host: address, port: Number(port) }));
  for (const socket of batch) {
    try {
      await once(socket, "connect");
      sockets.push(socket);
      socket.on("error", () => failed++);
    } catch {
      failed++;
    }
  }
}
process.stdout.write(`${JSON.stringify({ open: sockets.length, failed })}\n`);
process.stdin.on("end", () => process.exit(0)).resume();
