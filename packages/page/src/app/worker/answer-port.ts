import type { PageData, PageEvent, PagePacket } from "../../model.ts";
import { whyOf } from "../../why-of.ts";

/** What a page asks the data behind a port; each is answered by its number. */
export type PortQuestion = { readonly number: number } & (
  | { readonly ask: "state" }
  | { readonly ask: "service"; readonly id: string }
  | { readonly ask: "trace"; readonly packet: PagePacket }
  | { readonly ask: "connections"; readonly host: string; readonly id: string }
  | { readonly ask: "follow" }
);

export type PortAnswer =
  | { readonly number: number; readonly value: unknown }
  /** A sentence for people. */
  | { readonly number: number; readonly error: string }
  | { readonly event: PageEvent };

/** Answers what comes through a port; `data` may still be on its way. */
export function answerOn(port: MessagePort, data: Promise<PageData>): void {
  const send = (answer: PortAnswer) => port.postMessage(answer);
  port.onmessage = async ({ data: question }: MessageEvent<PortQuestion>) => {
    const { number } = question;
    try {
      send({ number, value: await answer(await data, { question, send }) });
    } catch (error) {
      send({ number, error: whyOf(error) });
    }
  };
}

interface Asked {
  readonly question: PortQuestion;
  readonly send: (answer: PortAnswer) => void;
}

async function answer(data: PageData, { question, send }: Asked): Promise<unknown> {
  switch (question.ask) {
    case "state":
      return data.state();
    case "service":
      return data.service(question.id);
    case "trace":
      return data.trace(question.packet);
    case "connections":
      return data.connections(question.host, question.id);
    case "follow":
      data.follow((event) => send({ event }));
      return undefined;
  }
}
