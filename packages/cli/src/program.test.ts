import { expect, test } from "vitest";
import { runInMemory } from "./testing/memory-context.ts";

test.for([
  { line: "chek web.yaml", wrong: "unknown command 'chek'", meant: "check" },
  { line: "iptables aply", wrong: "unknown command 'aply'", meant: "apply" },
  { line: "iptables cleanpu", wrong: "unknown command 'cleanpu'", meant: "cleanup" },
  { line: "userspace stats", wrong: "unknown command 'stats'", meant: "status" },
  { line: "lab donw", wrong: "unknown command 'donw'", meant: "down" },
  { line: "iptables web.yaml --hots web1", wrong: "unknown option '--hots'", meant: "--host" },
  { line: "iptables apply web.yaml --dryrun", wrong: "unknown option '--dryrun'", meant: "--dry-run" },
  { line: "userspace web.yaml --metric :9", wrong: "unknown option '--metric'", meant: "--metrics" },
])("svcproxy $line: did you mean $meant?", async ({ line, wrong, meant }) => {
  const { exitCode, stdout, stderr } = await runInMemory(line.split(" "));
  expect(stderr).toBe(`error: ${wrong}\n(Did you mean ${meant}?)\n(svcproxy --help shows the commands)`);
  expect([exitCode, stdout]).toEqual([2, ""]);
});

test("a file that is named like a command's is a file", async () => {
  const { exitCode, stderr } = await runInMemory(["iptables", "./aply"]);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('Cannot read "./aply": there is no such file')]);
});
