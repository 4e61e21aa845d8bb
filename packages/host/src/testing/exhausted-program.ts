import { closeSync, openSync } from "node:fs";
import { readAddresses } from "../machine/addresses.ts";
import { DescriptorReserve } from "../machine/descriptor-reserve.ts";
import { readSysctl } from "../machine/sysctls.ts";
import { runTool } from "../tools/run-tool.ts";

/** In a process whose file descriptors have run out: what is said of each thing that needs one, as JSON. */
async function main(): Promise<void> {
  const reserve = new DescriptorReserve();
  const first = readAddresses();
  const taken = takeAll();
  const say = (work: Promise<unknown>) => work.then(JSON.stringify, sayError);
  const answers = {
    tool: await say(runTool("true", [])),
    reserved: await say(runTool("true", [], { reserve })),
    again: await say(runTool("true", [], { reserve })),
    sysctl: await say(readSysctl("net.ipv4.ip_forward")),
    addresses: sayAddresses(first.addresses.length),
    secondReserve: sayError(trying(() => new DescriptorReserve())),
  };
  for (const fd of taken) closeSync(fd);
  process.stdout.write(JSON.stringify({ ...answers, afterwards: await say(runTool("true", [])) }));
}

function takeAll(): readonly number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync("/", "r"));
  } catch {
    return taken;
  }
}

function sayAddresses(before: number): string {
  const { addresses, fault } = readAddresses();
  return `${addresses.length === before ? "as before" : addresses.length}: ${fault?.code}`;
}

function trying(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

function sayError(error: unknown): string {
  return error instanceof Error && "code" in error ? `${error.code}: ${error.message}` : String(error);
}

await main();
