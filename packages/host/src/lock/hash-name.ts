import { hash } from "node:crypto";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/**
 * The first characters of BASE32(SHA256(text)), upper case, as kube-proxy makes its chain names.
 *
 * @param length 1–51; 16 hold 80 bits
 */
export function hashName(text: string, length: number): string {
  // A character a byte: a buffer for each of 100,000 endpoints takes longer than the hashing.
  const digest = hash("sha256", text, "binary");
  // Not a text that grows: V8 keeps it as a chain of its parts, five times the size, for as long as the name lives.
  const codes: number[] = [];
  let bits = 0;
  let held = 0;
  for (let index = 0; index < digest.length; index++) {
    bits = ((bits & 31) << 8) | digest.charCodeAt(index);
    held += 8;
    while (held >= 5) {
      held -= 5;
      codes.push(BASE32.charCodeAt((bits >> held) & 31));
      if (codes.length === length) return String.fromCharCode(...codes);
    }
  }
  throw new RangeError(`a hash has no ${length} characters`);
}
