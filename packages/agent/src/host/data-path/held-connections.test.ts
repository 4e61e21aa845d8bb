import { EMPTY_CENSUS } from "@svcproxy/host";
import { MemoryDataPath } from "@svcproxy/host/testing";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { HeldConnections } from "./held-connections.ts";

function newHeld() {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const done: string[] = [];
  const run = async (tool: string, args: readonly string[]) => {
    done.push([tool, ...args].join(" "));
    return { exitCode: 0, stdout: "", stderr: "" };
  };
  const machine = { run, hasTool: () => true };
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const held = new HeldConnections({ machine, logger: pino({ level: "silent" }), signal: ending.signal });
  const remove = async () => void done.push("removed");
  return { held, done, remove };
}

test("connections are held before their rules go, datagrams led anew at once, and dials that fell in between when they are tried again", async () => {
  const { held, done, remove } = newHeld();
  await held.during({ census: async () => ({ ...EMPTY_CENSUS, vips: new Set(["10.96.0.1"]) }) }, remove);
  const forget = (family: string, which: string) => `conntrack -D ${which} --dst-nat -f ${family}`;
  const atOnce = ["nft -f -", "removed", forget("ipv4", "-p udp"), forget("ipv6", "-p udp")];
  expect(done).toEqual(atOnce);
  await vi.advanceTimersByTimeAsync(999);
  const dials = ["SYN_SENT", "SYN_RECV"].map((state) => `-p tcp --state ${state}`);
  expect(done.slice(atOnce.length)).toEqual(
    ["ipv4", "ipv6"].flatMap((family) => dials.map((dial) => forget(family, dial))),
  );
  await held.release();
  expect(done.at(-1)).toBe("nft delete table inet svcproxy-held");
});

test("where nothing was served, nothing is held", async () => {
  const { held, done, remove } = newHeld();
  await held.during({ census: async () => EMPTY_CENSUS }, remove);
  await vi.advanceTimersByTimeAsync(999);
  expect(done).toEqual(["removed"]);
});

test("before rules take the place of a process, the kernel gets to know its connections; where rules serve, it does", async () => {
  const { held, done } = newHeld();
  const dataPath = new MemoryDataPath();
  const acquainted = held.acquaint([dataPath]);
  await vi.advanceTimersByTimeAsync(2_000);
  await acquainted;
  expect(done).toEqual(["nft -f -"]);
  const serving = Object.assign(dataPath, { census: async () => ({ ...EMPTY_CENSUS, vips: new Set(["10.96.0.1"]) }) });
  await held.acquaint([serving]);
  expect(done).toEqual(["nft -f -"]);
});
