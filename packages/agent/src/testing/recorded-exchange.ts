import { readdirSync, readFileSync } from "node:fs";

/** A request that a real API server (1.37.2) was asked, and what it answered. */
export interface RecordedExchange {
  readonly name: string;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly note: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
  readonly body: string;
  /** Whether the server's side broke off instead of ending the body. */
  readonly isCut: boolean;
  /** Whether the recorder stopped reading while the server was still there. */
  readonly isOpen: boolean;
}

const FOLDER = new URL("../../fixtures/kubernetes-api/", import.meta.url);

export const exchangeNames: readonly string[] = readdirSync(FOLDER)
  .map((file) => file.replace(/\.json$/, ""))
  .sort();

export function recordedExchange(name: string): RecordedExchange {
  const { note = "", request, response } = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
  const end: string = response.end ?? "";
  return {
    ...{ name, note, method: request.method, target: request.target, lines: response.body },
    ...{ status: response.status, headers: response.headers },
    body: response.body.map((line: string) => `${line}\n`).join(""),
    isCut: end.includes("IncompleteRead"),
    isOpen: end.includes("TimeoutError"),
  };
}
