import { mkdtempSync, writeFileSync } from "node:fs";
import { endianness, tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, expect, test, vi } from "vitest";
import type { Writer } from "./change-monitors.ts";
import { KernelWatch } from "./kernel-watch.ts";

const WAIT = { timeout: 60_000, interval: 10 };

/** A message of netlink as this machine has it, in printf's octal. */
function octal(type: number, body = ""): string {
  const bytes = Buffer.from(body, "latin1");
  const header = Buffer.alloc(16);
  if (endianness() === "LE") {
    header.writeUInt32LE(16 + bytes.length, 0);
    header.writeUInt16LE(type, 4);
  } else {
    header.writeUInt32BE(16 + bytes.length, 0);
    header.writeUInt16BE(type, 4);
  }
  return [...header, ...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}

function attribute(type: number, value: string): string {
  const header = endianness() === "LE" ? [4 + value.length, 0, type, 0] : [0, 4 + value.length, 0, type];
  return String.fromCharCode(...header) + value;
}

const LISTENS = octal(1);
const LOST = octal(4);
const DELETED_TABLE = octal((10 << 8) + 2, `\u0002\0\0\0${attribute(1, "abc\0")}`);
const COMMIT = octal((10 << 8) + 15, `\0\0\0\0${attribute(2, "\0\0\0\u0007")}${attribute(3, "nft\0")}`);

let watch: KernelWatch | undefined;

afterEach(() => {
  watch?.stop();
  vi.unstubAllEnvs();
});

/** Programs of the shell that stand in for those that tell of changes, and what they tell of. */
function watchWith(tools: Readonly<Record<string, string>>, { ours = 0 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-monitors-"));
  for (const [name, script] of Object.entries(tools))
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  vi.stubEnv("PATH", folder);
  const told: (Writer | undefined)[] = [];
  watch = new KernelWatch({
    notice: { kind: "monitor", tool: "nft", concerns: (line) => line === "delete table ip abc" },
    isOurs: ({ pid }) => pid === ours,
    onChange: (writer) => told.push(writer),
    lookMs: () => 0,
    logger: pino({ level: "silent" }),
  });
  return { told, watch };
}

const STAYS = "exec /bin/sleep 600";

test("what happened before it listened is looked for, and then what is told with its writer", async () => {
  const { told, watch: it } = watchWith({
    perl: `printf '${LISTENS}${COMMIT}${DELETED_TABLE}${COMMIT}${LOST}'; ${STAYS}`,
  });
  await vi.waitFor(() => expect(told).toEqual([undefined, { pid: 7, program: "nft" }, undefined]), WAIT);
  expect(it.everyMs).toBeUndefined();
});

test("what our own tools change needs no look", async () => {
  const { told } = watchWith({ perl: `printf '${LISTENS}${DELETED_TABLE}${COMMIT}${LOST}'; ${STAYS}` }, { ours: 7 });
  await vi.waitFor(() => expect(told).toEqual([undefined, undefined]), WAIT);
});

test.for([
  { why: "is not there", tools: {} },
  { why: "says that it may not", tools: { perl: "echo 'bind: Operation not permitted' >&2; exit 1" } },
  { why: "prints something else", tools: { perl: `printf '%032d' 0; ${STAYS}` } },
])("nft monitor stands in where perl $why", async ({ tools }) => {
  const { told } = watchWith({
    ...tools,
    nft: `[ "$*" = monitor ] && printf 'delete table ip abc\\n# new generation 2 by process 8 (x)\\n'; ${STAYS}`,
  });
  await vi.waitFor(() => expect(told).toEqual([{ pid: 8, program: "x" }]), WAIT);
});

test("one that ended is started again, and what happened meanwhile is looked for", async () => {
  const { told } = watchWith({
    perl: `printf '${LISTENS}'; [ -e "$PATH/ended" ] && ${STAYS}; : > "$PATH/ended"`,
    nft: "printf 'delete table ip abc\\n# new generation 2 by process 8 (x)\\n'",
  });
  await vi.waitFor(() => expect(told).toEqual([undefined, undefined]), WAIT);
});

test("without any of them it looks from time to time", () => {
  expect(watchWith({}).watch.everyMs).toBeGreaterThan(0);
});
