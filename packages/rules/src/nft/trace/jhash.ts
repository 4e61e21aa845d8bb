/**
 * Bob Jenkins' hash as the kernel has it, of `bytes` in memory's order.
 *
 * @returns an unsigned number of 32 bits
 * @see linux include/linux/jhash.h
 */
export function jhash(bytes: readonly number[], seed: number): number {
  const length = bytes.length;
  const start = (0xdeadbeef + length + seed) >>> 0;
  const state: State = [start, start, start];
  let at = 0;
  for (; length - at > 12; at += 12) {
    add(state, word(bytes, at), word(bytes, at + 4), word(bytes, at + 8));
    mix(state);
  }
  if (length - at === 0) return state[2];
  add(state, word(bytes, at), word(bytes, at + 4), word(bytes, at + 8));
  return final(state);
}

type State = [number, number, number];

function add(state: State, a: number, b: number, c: number): void {
  state[0] = (state[0] + a) >>> 0;
  state[1] = (state[1] + b) >>> 0;
  state[2] = (state[2] + c) >>> 0;
}

/** Little-endian; bytes behind the end count as 0. */
function word(bytes: readonly number[], at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

function rotate(value: number, by: number): number {
  return ((value << by) | (value >>> (32 - by))) >>> 0;
}

function mix(state: State): void {
  let [a, b, c] = state;
  a = (((a - c) >>> 0) ^ rotate(c, 4)) >>> 0;
  c = (c + b) >>> 0;
  b = (((b - a) >>> 0) ^ rotate(a, 6)) >>> 0;
  a = (a + c) >>> 0;
  c = (((c - b) >>> 0) ^ rotate(b, 8)) >>> 0;
  b = (b + a) >>> 0;
  a = (((a - c) >>> 0) ^ rotate(c, 16)) >>> 0;
  c = (c + b) >>> 0;
  b = (((b - a) >>> 0) ^ rotate(a, 19)) >>> 0;
  a = (a + c) >>> 0;
  c = (((c - b) >>> 0) ^ rotate(b, 4)) >>> 0;
  b = (b + a) >>> 0;
  state[0] = a;
  state[1] = b;
  state[2] = c;
}

function final([first, second, third]: State): number {
  let [a, b, c] = [first, second, third];
  c = ((c ^ b) - rotate(b, 14)) >>> 0;
  a = ((a ^ c) - rotate(c, 11)) >>> 0;
  b = ((b ^ a) - rotate(a, 25)) >>> 0;
  c = ((c ^ b) - rotate(b, 16)) >>> 0;
  a = ((a ^ c) - rotate(c, 4)) >>> 0;
  b = ((b ^ a) - rotate(a, 14)) >>> 0;
  return ((c ^ b) - rotate(b, 24)) >>> 0;
}
