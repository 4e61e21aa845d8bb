import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Ask, AskOutcome, ProbeAnswer, ProbeRequest } from "./ask.ts";

/** Runs in a place of the lab: reads asks, one JSON text a line, and answers each with the outcomes of its connections. */
const input = createInterface({ input: process.stdin });
input.on("line", async (line) => {
  const request: ProbeRequest = JSON.parse(line);
  const outcomes = request.kind === "ask" ? await askAll(request.ask) : await pokeAll(request.timeoutMs);
  const answer: ProbeAnswer = { id: request.id, outcomes };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
input.on("close", () => process.exit(0));

const WORD = "ping\n";

interface KeptConnection {
  readonly socket: Socket;
  readonly by: string;
}

const kept: KeptConnection[] = [];

async function askAll(ask: Ask): Promise<readonly AskOutcome[]> {
  const outcomes: AskOutcome[] = [];
  let left = ask.times;
  const worker = async () => {
    while (left-- > 0) outcomes.push(await (ask.protocol === "udp" ? askByUdp(ask) : askByTcp(ask)));
  };
  await Promise.all(Array.from({ length: ask.parallel }, worker));
  return outcomes;
}

function pokeAll(timeoutMs: number): Promise<readonly AskOutcome[]> {
  return Promise.all(kept.map((connection) => poke(connection, timeoutMs)));
}

function poke({ socket, by }: KeptConnection, timeoutMs: number): Promise<AskOutcome> {
  return new Promise((resolve) => {
    const begun = performance.now();
    const finish = (code?: string) => {
      clearTimeout(timer);
      socket.removeAllListeners("data");
      const ms = performance.now() - begun;
      resolve(code === undefined ? { kind: "answered", by, seen: "", ms } : { kind: "failed", code, by, ms });
    };
    const timer = setTimeout(() => finish("no echo"), timeoutMs);
    if (socket.destroyed || !socket.writable) return finish("the connection was closed");
    socket.once("data", (data) => finish(data.toString() === WORD ? undefined : "another echo"));
    socket.once("close", () => finish("the connection was closed"));
    socket.write(WORD);
  });
}

/** One connection: sends a word, and expects who answers, whom they see, and the word. */
function askByTcp({ address, port, timeoutMs, keep }: Ask): Promise<AskOutcome> {
  return new Promise((resolve) => {
    const begun = performance.now();
    const socket = connect({ host: address, port });
    let text = "";
    const finish = (outcome: AskOutcome) => {
      clearTimeout(timer);
      socket.removeAllListeners("data");
      if (keep === true && outcome.kind === "answered") kept.push({ socket, by: outcome.by });
      else socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish({ kind: "timeout", ms: timeoutMs }), timeoutMs);
    socket.on("connect", () => socket.write(WORD));
    socket.on("error", (error) => finish(failure(error, performance.now() - begun)));
    socket.on("end", () => finish({ kind: "failed", code: "closed before an answer", ms: performance.now() - begun }));
    socket.on("data", (chunk) => {
      text += chunk.toString();
      if (text.endsWith(`\n${WORD}`)) finish(readAnswer(text, performance.now() - begun));
    });
  });
}

function askByUdp({ address, port, timeoutMs }: Ask): Promise<AskOutcome> {
  return new Promise((resolve) => {
    const begun = performance.now();
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const finish = (outcome: AskOutcome) => {
      clearTimeout(timer);
      socket.close();
      resolve(outcome);
    };
    const timer = setTimeout(() => finish({ kind: "timeout", ms: timeoutMs }), timeoutMs);
    socket.once("error", (error) => finish(failure(error, performance.now() - begun)));
    socket.on("message", (datagram) => finish(readAnswer(datagram.toString(), performance.now() - begun)));
    // Connected, so that the kernel tells of a refusal.
    socket.connect(port, address, () => socket.send(WORD));
  });
}

function readAnswer(text: string, ms: number): AskOutcome {
  const [, by = "", seen = "", echo] = /^(\S+) (\S+):\d+\n([\s\S]*)$/.exec(text) ?? [];
  if (echo !== WORD) return { kind: "failed", code: `answered ${JSON.stringify(text)}`, ms };
  return { kind: "answered", by, seen: seen.replace(/^\[(.*)\]$/, "$1"), ms };
}

function failure(error: Error, ms: number): AskOutcome {
  const code = "code" in error ? String(error.code) : error.message;
  return code === "ECONNREFUSED" ? { kind: "refused", ms } : { kind: "failed", code, ms };
}
