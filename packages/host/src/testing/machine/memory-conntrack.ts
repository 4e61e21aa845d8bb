import { familyOf } from "@svcproxy/topology";
import type { ConntrackEntry } from "../../conntrack/conntrack.ts";
import type { ToolOutput } from "../../tools/run-tool.ts";

/** What the kernel tracks, in memory, behind the command line of `conntrack`: listing, deleting, and a batch of deletions. */
export class MemoryConntrack {
  entries: ConntrackEntry[] = [];
  readonly #hasNetAdmin: boolean;

  constructor({ hasNetAdmin }: { readonly hasNetAdmin: boolean }) {
    this.#hasNetAdmin = hasNetAdmin;
  }

  run(args: readonly string[], input: string): ToolOutput {
    if (!this.#hasNetAdmin) {
      const reason = "sorry, you must be root or get CAP_NET_ADMIN capability to do this";
      return { exitCode: 1, stdout: "", stderr: `conntrack v1.4.7 (conntrack-tools): Operation failed: ${reason}\n` };
    }
    if (args[0] === "-L") return said(this.#matching(args).map(showEntry).join(""));
    if (args[0] === "-D") return this.#delete(args);
    if (args[0] === "--load-file") {
      for (const line of input.split("\n")) if (line !== "") this.#delete(line.split(" "));
      return said("");
    }
    return { exitCode: 2, stdout: "", stderr: `conntrack v1.4.7 (conntrack-tools): unknown option ${args[0]}\n` };
  }

  #delete(args: readonly string[]): ToolOutput {
    const gone = new Set(this.#matching(args));
    this.entries = this.entries.filter((entry) => !gone.has(entry));
    return { ...said(""), exitCode: gone.size === 0 ? 1 : 0 };
  }

  #matching(args: readonly string[]): readonly ConntrackEntry[] {
    const wanted = (flag: string, value: string | number) => {
      const index = args.indexOf(flag);
      return index < 0 || args[index + 1] === String(value);
    };
    return this.entries.filter(
      (entry) =>
        wanted("-p", entry.protocol) &&
        wanted("-f", familyOf(entry.destination) === 4 ? "ipv4" : "ipv6") &&
        wanted("-s", entry.client) &&
        wanted("-d", entry.destination) &&
        wanted("--sport", entry.clientPort) &&
        wanted("--dport", entry.destinationPort),
    );
  }
}

function said(stdout: string): ToolOutput {
  return { exitCode: 0, stdout, stderr: "" };
}

function showEntry(entry: ConntrackEntry): string {
  const { protocol, client, clientPort, destination, destinationPort, server, serverPort } = entry;
  const sent = `src=${client} dst=${destination} sport=${clientPort} dport=${destinationPort}`;
  const answered = `src=${server} dst=${client} sport=${serverPort} dport=${clientPort}`;
  return `${protocol.padEnd(8)} 17 59 ${sent} [UNREPLIED] ${answered} mark=0 use=1\n`;
}
