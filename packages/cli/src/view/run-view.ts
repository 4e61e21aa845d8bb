import { closeSync, openSync, readSync, statSync, writeFileSync } from "node:fs";
import { isSnapshotText } from "@svcproxy/host";
import type { FollowedSource, Listed } from "@svcproxy/page";
import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { isPath } from "../source/topology-input.ts";
import { followAgent } from "./follow-agent.ts";
import { followFiles, type ViewedFilesFlags } from "./follow-files.ts";

export interface ViewFlags extends ViewedFilesFlags {
  readonly agent?: boolean;
  readonly port?: number;
  readonly output?: string;
}

/** Serves the page until it is interrupted, or writes it into a file. */
export async function runView(context: CommandContext, named: readonly string[], given: ViewFlags): Promise<ExitCode> {
  const snapshots = named.filter(isSnapshot);
  const files = named.filter((file) => !snapshots.includes(file));
  const flags = snapshots.length === 0 ? given : { ...given, snapshot: [...(given.snapshot ?? []), ...snapshots] };
  refuseTogether(files, flags);
  if (flags.agent === true) return show(context, { source: followAgent(), flags });
  return show(context, { source: followFiles(context, files, flags), flags });
}

/** So much of a file tells whether it is one. */
const HEAD_BYTES = 64;

/** `--snapshot a.json b.json` names two, and `a.json b.json` as well: a snapshot is no topology. */
function isSnapshot(path: string): boolean {
  if (path === "-" || !isPath(path)) return false;
  let file: number | undefined;
  try {
    if (!statSync(path).isFile()) return false;
    file = openSync(path, "r");
    const head = Buffer.alloc(HEAD_BYTES);
    return isSnapshotText(head.toString("utf8", 0, readSync(file, head)));
  } catch {
    // Whoever reads it as a topology says what is wrong with it.
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

interface Showing<T extends Listed> {
  readonly source: FollowedSource<T>;
  readonly flags: ViewFlags;
}

async function show<T extends Listed>(context: CommandContext, { source, flags }: Showing<T>): Promise<ExitCode> {
  const { exportedPage, FollowedData, servePage } = await import("@svcproxy/page");
  if (flags.output !== undefined)
    return writePage(context, flags.output, exportedPage(await source.whole(await source.read())));
  const data = await FollowedData.open(source);
  const logger = await context.logger();
  const page = await servePage(data, {
    ...(flags.port === undefined ? {} : { port: flags.port }),
    onError: (error) => logger.error({ err: error }, "a question of the page could not be answered"),
  }).catch((cause: unknown) => {
    throw new EnvironmentError(
      "CANNOT_SERVE_PAGE",
      `Cannot serve the page on port ${flags.port ?? "of 127.0.0.1"}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause, hint: "Leave --port out: then a free one is taken" },
    );
  });
  await context.print(`${page.url}\n`);
  context.note("svcproxy: open that link in a browser on this machine; Ctrl-C ends it");
  if (!context.signal.aborted) await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
  await page.close();
  return 0;
}

async function writePage(context: CommandContext, file: string, html: string): Promise<ExitCode> {
  if (file === "-") {
    await context.print(html);
    return 0;
  }
  try {
    writeFileSync(file, html);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EnvironmentError("FILE_UNWRITABLE", `Cannot write ${JSON.stringify(file)}: ${reason}`, { cause });
  }
  context.note(`svcproxy: wrote ${file} (${Math.ceil(html.length / 1024)} KiB); open it in a browser`);
  return 0;
}

/** @throws InputError CONFLICTING_FLAGS */
function refuseTogether(files: readonly string[], { agent, live, rules, snapshot, host }: ViewFlags): void {
  const given = [
    ...(agent === true ? ["--agent"] : []),
    ...(live === true ? ["--live"] : []),
    ...(rules === undefined ? [] : ["--rules"]),
    ...(snapshot === undefined ? [] : ["--snapshot"]),
  ];
  if (given.length > 1)
    throw inputError("CONFLICTING_FLAGS", `Cannot show ${given.join(" and ")} together: name one of them`);
  if (agent === true && files.length > 0)
    throw inputError("CONFLICTING_FLAGS", "Cannot show a topology and the agent together: the agent has its own");
  if (agent === true && host !== undefined)
    throw inputError("CONFLICTING_FLAGS", "Cannot take --host with --agent: the agent keeps the host that it runs on");
}
