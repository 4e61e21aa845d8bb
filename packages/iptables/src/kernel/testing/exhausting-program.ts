import { openSync } from "node:fs";
import process from "node:process";
import { DescriptorReserve, runTool, type ToolRunner, type Variant } from "@svcproxy/host";
import { IptablesTables } from "../iptables-tables.ts";
import { TableBackend } from "../table-backend.ts";
import { planOf, rulesOf } from "./backend-contract.ts";

/** Applies a plan in a process whose file descriptors run out after the first table; says how that ended, as JSON. */
async function main(variant: Variant): Promise<void> {
  let isFirst = true;
  const run: ToolRunner = async (tool, args, options) => {
    const output = await runTool(tool, args, options);
    if (isFirst && tool.endsWith("-restore")) {
      isFirst = false;
      takeAllDescriptors();
    }
    return output;
  };
  const tables = new IptablesTables({ variant, suffix: `-${variant}` }, { reserve: new DescriptorReserve(), run });
  const { signal } = new AbortController();
  const ended = await new TableBackend(tables).apply(rulesOf(planOf({ v6: true, endpoints: [] })), { signal }).then(
    () => ({ code: "none", message: "it went in" }),
    (error: unknown) => error,
  );
  const { code, message } = Object.assign({ code: "", message: "" }, ended, { message: String(ended) });
  process.stdout.write(JSON.stringify({ code, message }));
}

function takeAllDescriptors(): void {
  try {
    for (;;) openSync("/", "r");
  } catch {
    // That was the last one.
  }
}

await main(process.argv[2] === "nft" ? "nft" : "legacy");
