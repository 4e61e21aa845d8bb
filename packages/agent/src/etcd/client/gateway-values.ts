/** An object of the gateway's JSON. Zero values are left out, int64 are texts, keys and values base64. */
export type Answer = Readonly<Record<string, unknown>>;

export function isAnswer(value: unknown): value is Answer {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function answerAt(answer: Answer, key: string): Answer {
  const value = answer[key];
  return isAnswer(value) ? value : {};
}

export function answersAt(answer: Answer, key: string): readonly Answer[] {
  const value = answer[key];
  return Array.isArray(value) ? value.filter(isAnswer) : [];
}

/** An int64, as a text because not all fit into a number; "0" where it is left out. */
export function int64At(answer: Answer, key: string): string {
  const value = answer[key];
  return typeof value === "string" || typeof value === "number" ? String(value) : "0";
}

/** A revision, a version, a term or a count. */
export function numberAt(answer: Answer, key: string): number {
  return Number(int64At(answer, key));
}

export function textAt(answer: Answer, key: string): string {
  const value = answer[key];
  return typeof value === "string" ? value : "";
}

export function encodeText(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

export function decodeBytes(answer: Answer, key: string): Buffer {
  return Buffer.from(textAt(answer, key), "base64");
}

/** The end of the range of all keys that begin with `prefix`. */
export function endOfPrefix(prefix: string): string {
  const bytes = Buffer.from(prefix, "utf8");
  for (let at = bytes.length - 1; at >= 0; at--) {
    const byte = bytes[at] ?? 0;
    if (byte < 0xff) {
      const end = Buffer.from(bytes.subarray(0, at + 1));
      end[at] = byte + 1;
      return end.toString("base64");
    }
  }
  // To the end of all keys.
  return Buffer.from([0]).toString("base64");
}
