import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { endInside, type Lab } from "@svcproxy/lab";
import type { Ask, AskOutcome, ProbeAnswer, ProbeRequest } from "./ask.ts";

interface Probe {
  readonly child: ChildProcess;
  readonly waiting: Map<number, PromiseWithResolvers<readonly AskOutcome[]>>;
}

/** Clients in the places of a lab: one process a place, started when the place first asks something. */
export class Probes {
  readonly #lab: Lab;
  readonly #probes = new Map<string, Probe>();
  #nextId = 1;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  ask(place: string, ask: Ask): Promise<readonly AskOutcome[]> {
    return this.#send(place, (id) => ({ id, kind: "ask", ask }));
  }

  /** Uses the connections that asks have kept. */
  poke(place: string, timeoutMs: number): Promise<readonly AskOutcome[]> {
    return this.#send(place, (id) => ({ id, kind: "poke", timeoutMs }));
  }

  #send(place: string, request: (id: number) => ProbeRequest): Promise<readonly AskOutcome[]> {
    const probe = this.#probes.get(place) ?? this.#start(place);
    const id = this.#nextId++;
    const answer = Promise.withResolvers<readonly AskOutcome[]>();
    probe.waiting.set(id, answer);
    probe.child.stdin?.write(`${JSON.stringify(request(id))}\n`);
    return answer.promise;
  }

  stop(): void {
    for (const { child } of this.#probes.values()) endInside(child);
    this.#probes.clear();
  }

  #start(place: string): Probe {
    const command = [process.execPath, join(import.meta.dirname, "probe.ts")];
    const child = this.#lab.spawn(place, command, { stdio: ["pipe", "pipe", "inherit"] });
    const probe: Probe = { child, waiting: new Map() };
    this.#probes.set(place, probe);
    if (child.stdout === null) throw new Error("a probe has no stdout");
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { id, outcomes }: ProbeAnswer = JSON.parse(line);
      probe.waiting.get(id)?.resolve(outcomes);
      probe.waiting.delete(id);
    });
    child.stdin?.on("error", () => {}); // its end is told below
    child.once("close", () => {
      if (this.#probes.get(place) === probe) this.#probes.delete(place);
      for (const answer of probe.waiting.values()) answer.reject(new Error(`the probe in ${place} has ended`));
    });
    return probe;
  }
}
