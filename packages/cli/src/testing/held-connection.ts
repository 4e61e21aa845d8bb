import type { HostProgram, ProxyHost } from "./proxy-host.ts";

/** Answers what it is told, on port 8080 of its first argument; says `listening`. */
export const ECHO = `
  import { createServer } from "node:net";
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  server.listen(8080, process.argv[1], () => console.log("listening"));`;

const HOLD = `
  import { connect } from "node:net";
  const socket = connect(80, process.argv[1], () => socket.write("hello"));
  socket.once("data", () => {
    console.log("open");
    socket.on("data", () => console.log("answered"));
  });
  socket.on("error", () => {}).on("close", () => console.log("closed"));
  process.on("SIGUSR2", () => socket.write("again"));`;

/** A connection to port 80 of a VIP, which says `answered` after SIGUSR2, and `closed`. */
export async function holdConnection(host: ProxyHost, vip: string): Promise<HostProgram> {
  const held = host.startScript(HOLD, vip);
  await held.says("open");
  return held;
}
