import { expect, test } from "vitest";
import { LARGEST_READ_BUFFER_BYTES, ReadBuffers, SMALLEST_READ_BUFFER_BYTES } from "./read-buffers.ts";

test("a buffer grows to the largest and comes back to the smallest", () => {
  const buffers = new ReadBuffers();
  let buffer = buffers.take();
  expect(buffer.length).toBe(SMALLEST_READ_BUFFER_BYTES);
  for (let read = 0; read < 10; read++) buffer = buffers.grow(buffer);
  expect(buffer.length).toBe(LARGEST_READ_BUFFER_BYTES);
  expect(buffers.grownBytes).toBe(LARGEST_READ_BUFFER_BYTES);
  expect(buffers.shrink(buffer).length).toBe(SMALLEST_READ_BUFFER_BYTES);
  expect(buffers.grownBytes).toBe(0);
});

test("a buffer steps down one size at a time", () => {
  const buffers = new ReadBuffers();
  let buffer = buffers.take();
  for (let read = 0; read < 3; read++) buffer = buffers.grow(buffer);
  const sizes: number[] = [];
  for (let read = 0; read < 4; read++) {
    buffer = buffers.stepDown(buffer);
    sizes.push(buffer.length / 1024);
  }
  expect(sizes).toEqual([64, 16, 2, 2]);
  expect(buffers.grownBytes).toBe(0);
});

test("what is given back is used again, and never by two at a time", () => {
  const buffers = new ReadBuffers();
  const held = Array.from({ length: 200 }, () => buffers.take());
  for (const buffer of held) buffers.release(buffer);
  const again = Array.from({ length: 200 }, () => buffers.take());
  expect(new Set(again)).toEqual(new Set(held));
  for (const [index, buffer] of again.entries()) buffer.fill(index);
  for (const [index, buffer] of again.entries()) expect(buffer.every((byte) => byte === index)).toBe(true);
});

test("all grown buffers together have a bound: then bursts go on with what they have", () => {
  const buffers = new ReadBuffers();
  const grown = Array.from({ length: 2_000 }, () => {
    let buffer = buffers.take();
    for (let step = 0; step < 3; step++) buffer = buffers.grow(buffer);
    return buffer;
  });
  expect(buffers.grownBytes).toBeLessThanOrEqual(256 * 1024 * 1024);
  for (const buffer of grown) buffers.release(buffer);
  expect(buffers.grownBytes).toBe(0);
});
