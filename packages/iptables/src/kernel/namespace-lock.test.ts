import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { lockNamespace } from "./namespace-lock.ts";

const { signal } = new AbortController();
const someName = () => `\0svcproxy-test-${randomUUID()}`;

test("the second waits until the first lets go, and is told whom it waits for", async () => {
  const name = someName();
  const first = await lockNamespace({ signal, waitMs: 1000, name });
  let holder: number | undefined;
  const second = lockNamespace({
    ...{ signal, waitMs: 20_000, name },
    onWait: (pid) => {
      holder = pid;
      first[Symbol.asyncDispose]();
    },
  });
  await using lock = await second;
  expect(lock.fd).toBeGreaterThan(2);
  expect(holder).toBe(process.pid);
});

test("whoever waits too long is told who holds it", async () => {
  const name = someName();
  await using _held = await lockNamespace({ signal, waitMs: 1000, name });
  await expect(lockNamespace({ signal, waitMs: 200, name })).rejects.toMatchObject({
    code: "LOCKED",
    message: `Another svcproxy (pid ${process.pid}) has been changing the rules of this network namespace for 0.2 s`,
  });
});

test("a wait can be interrupted", async () => {
  const name = someName();
  await using _held = await lockNamespace({ signal, waitMs: 1000, name });
  const abort = new AbortController();
  const waiting = lockNamespace({ signal: abort.signal, waitMs: 60_000, name, onWait: () => abort.abort() });
  await expect(waiting).rejects.toMatchObject({
    code: "INTERRUPTED",
    message: "Interrupted while waiting for another svcproxy",
  });
});

test("whoever is interrupted before there was anybody to wait for is not told of a wait", async () => {
  const name = someName();
  const interrupted = lockNamespace({ signal: AbortSignal.abort(), waitMs: 1000, name });
  await expect(interrupted).rejects.toMatchObject({ code: "INTERRUPTED", message: "Interrupted" });
});

test("of many who want it, one has it at a time and all get it", async () => {
  const name = someName();
  let holders = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      await using _lock = await lockNamespace({ signal, waitMs: 20_000, name });
      expect(++holders).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
    }),
  );
});
