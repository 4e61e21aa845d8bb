// Sends every datagram back. Argument: PORT
import { createSocket } from "node:dgram";
import process from "node:process";

const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20, sendBufferSize: 8 << 20 });
socket.on("message", (datagram, { port, address }) => socket.send(datagram, port, address));
socket.bind(Number(process.argv[2]), "127.0.0.1");
