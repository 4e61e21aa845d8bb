import { type ConntrackEntry, parseConntrackEntry } from "@svcproxy/host";
import { MemoryMachine } from "@svcproxy/host/testing";
import { expect, test } from "vitest";
import { deleteStaleUdpFlows } from "./conntrack.ts";
import { planOf, rulesOf } from "./testing/backend-contract.ts";

const { signal } = new AbortController();

/** A UDP flow from one client to the frontend of `planOf`, or to another. */
function flow(server: string, { destination = "10.100.0.2", port = 40_000 } = {}): ConntrackEntry {
  const sent = `src=10.9.0.1 dst=${destination} sport=${port} dport=53`;
  const entry = parseConntrackEntry(`udp 17 29 ${sent} src=${server} dst=10.9.0.1 sport=3000 dport=${port} use=1`);
  if (entry === undefined) throw new TypeError(`not a flow to ${server}`);
  return entry;
}

const served = (...endpoints: string[]) => rulesOf(planOf({ endpoints }));

test("flows to endpoints that are gone are deleted, those to others and of others are not", async () => {
  const machine = new MemoryMachine();
  const [stays, foreign] = [flow("10.5.75.2"), flow("8.8.8.8", { destination: "8.8.8.8" })];
  machine.track(stays, flow("10.5.75.3", { port: 40_001 }), foreign);
  const deleted = await deleteStaleUdpFlows({ before: served("a", "b"), after: served("a"), signal, machine });
  expect(deleted).toEqual({ 4: 1, 6: 0 });
  expect(machine.entries).toEqual([stays, foreign]);
});

test("without UDP frontends nothing is asked, so that no `conntrack` is needed", async () => {
  const machine = new MemoryMachine({ tools: { conntrack: undefined } });
  expect(await deleteStaleUdpFlows({ before: [], after: [], signal, machine })).toEqual({ 4: 0, 6: 0 });
  const asking = deleteStaleUdpFlows({ before: [], after: served("a"), signal, machine });
  await expect(asking).rejects.toMatchObject({ code: "MISSING_TOOL", message: expect.stringContaining("conntrack") });
});

test("conntrack-tools before 1.4.7, which reads no file, is given one deletion after the other", async () => {
  const machine = new MemoryMachine({
    tools: { sh: () => ({ exitCode: 2, stdout: "", stderr: "conntrack v1.4.6: unrecognized option '--load-file'\n" }) },
  });
  machine.track(flow("10.5.75.3"));
  await deleteStaleUdpFlows({ before: served("a", "b"), after: served("a"), signal, machine });
  expect(machine.entries).toEqual([]);
});
