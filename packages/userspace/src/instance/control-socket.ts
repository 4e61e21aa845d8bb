import { connect, type Server, type Socket } from "node:net";
import { parseJson } from "./ipc-channel.ts";

/** Whoever asks has said what he wants within this time, however slowly he speaks. */
const QUESTION_TIMEOUT_MS = 2_000;
/** An answer is taken within this time, or dropped. */
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_QUESTION_BYTES = 4_096;

/** Reads the one line that a client says, and hands it on as a JSON value; who takes too long or says too much is cut off. */
export function readQuestion(socket: Socket, onQuestion: (question: unknown) => void): void {
  let text = "";
  socket.on("error", () => {});
  // Not an idle timeout: a byte now and then would put it off for ever.
  const deadline = setTimeout(() => socket.destroy(), QUESTION_TIMEOUT_MS);
  socket.once("close", () => clearTimeout(deadline));
  const onData = (chunk: Buffer) => {
    text += chunk.toString("utf8");
    if (text.length > MAX_QUESTION_BYTES) socket.destroy();
    if (!text.includes("\n")) return;
    socket.off("data", onData);
    clearTimeout(deadline);
    onQuestion(parseJson(text));
  };
  socket.on("data", onData);
}

/** Answers by a JSON value, and ends the connection. */
export function sendAnswer(socket: Socket, answer: unknown): void {
  const deadline = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS);
  socket.once("close", () => clearTimeout(deadline));
  socket.end(JSON.stringify(answer));
}

/** @returns all that is answered @throws Error with a system error `code`, or where the answer takes too long */
export async function askSocket(
  path: string,
  { question, timeoutMs }: { readonly question: object; readonly timeoutMs: number },
): Promise<string> {
  const socket = connect(path);
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer")));
  socket.write(`${JSON.stringify(question)}\n`);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += String(chunk);
  return text;
}

/** @returns false where somebody listens there @throws an error with a system error `code` */
export async function listens(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(path, () => resolve(true));
  });
}
