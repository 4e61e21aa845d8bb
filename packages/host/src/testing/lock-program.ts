import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { lockNamespace, tryLockNamespace } from "../lock/namespace-lock.ts";
import { runTool } from "../tools/run-tool.ts";

interface Orders {
  readonly directory: string;
  /** `take`: keep it; `feed`: keep it by a tool that inherits it; `race`: take it again and again. */
  readonly kind: "take" | "feed" | "race";
  /** For a race: who is in. */
  readonly owner?: string;
  /** What happened; of one that feeds, that its tool runs. */
  readonly journal?: string;
}

/** A process that wants the lock, for tests of several that do and of those that are killed. */
async function main({ directory, kind, owner = "", journal = "" }: Orders): Promise<void> {
  const options = { name: "test", directory };
  if (kind === "race") return race({ directory, owner, journal });
  const attempt = await tryLockNamespace(options);
  process.stdout.write(`${attempt.kind}\n`);
  if (attempt.kind !== "locked") return;
  if (kind === "feed") await runTool("sh", ["-c", `echo runs > ${journal}; sleep 3`], { heldFd: attempt.lock.fd });
  else await new Promise(() => setInterval(() => {}, 60_000));
}

/** Each who is in writes down its pid, and finds nobody's there but that of one who was killed. */
async function race({ directory, owner, journal }: Required<Omit<Orders, "kind">>): Promise<void> {
  const { signal } = new AbortController();
  for (;;) {
    await using _lock = await lockNamespace({ name: "test", directory, signal, waitMs: 60_000, deed: "" });
    const before = readFileSync(owner, "utf8");
    if (before !== "" && (await isAlive(before))) appendFileSync(journal, `${process.pid} met ${before}\n`);
    writeFileSync(owner, String(process.pid));
    await delay(1);
    const after = readFileSync(owner, "utf8");
    if (after !== String(process.pid)) appendFileSync(journal, `${process.pid} was joined by ${after}\n`);
    writeFileSync(owner, "");
    appendFileSync(journal, "turn\n");
  }
}

/** The kernel takes a killed process' sockets a little before it takes the process; on a busy machine quite a while. */
async function isAlive(pid: string): Promise<boolean> {
  for (let look = 0; look < 500; look++) {
    try {
      if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) return false;
    } catch {
      return false;
    }
    await delay(10);
  }
  return true;
}

await main(JSON.parse(process.argv[2] ?? ""));
