import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import {
  hasTool,
  type isInNetlinkGroup,
  monitorCommand,
  RULE_CHANGES_TOOL,
  type RuleWord,
  RuleWords,
  ruleChangesCommand,
} from "@svcproxy/host";

/** Who made a change in the kernel, as far as it says. */
export interface Writer {
  readonly pid?: number;
  readonly program?: string;
}

/** What a monitor says; after a commit without a writer nobody knows whose it was. */
export type Word =
  | Exclude<RuleWord, { kind: "commit" }>
  | { readonly kind: "commit"; readonly writer: Writer | undefined };

/** A program that is told by the kernel of changes, and passes them on. */
export interface ChangeMonitor {
  readonly name: string;
  readonly command: () => readonly [string, ...string[]];
  /** Netlink's group that it joins, by which is seen that it listens; undefined: it says so itself. */
  readonly group?: Parameters<typeof isInNetlinkGroup>[1];
  /** Overrun, it says something on stderr and goes on, where others end. */
  readonly goesOnAfterErrors: boolean;
  /** `fail` ends it, where what it prints makes no sense. */
  readonly read: (stdout: Readable, to: { readonly take: (word: Word) => void; readonly fail: () => void }) => void;
}

/** Holds 3 MB, and works beside rules that no nft of this machine can read; `nft monitor` reads all rules first, 120 MB for 50,000. */
const NETLINK: ChangeMonitor = {
  name: `${RULE_CHANGES_TOOL}, which reads netlink,`,
  command: ruleChangesCommand,
  goesOnAfterErrors: false,
  read: (stdout, { take, fail }) => {
    const words = new RuleWords();
    stdout.on("data", (part: Buffer) => {
      try {
        for (const word of words.read(part)) take(word);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        fail();
      }
    });
  },
};

const NFT: ChangeMonitor = {
  name: "nft monitor",
  command: () => monitorCommand("nft", ["monitor"]),
  group: "rules",
  goesOnAfterErrors: false,
  read: (stdout, { take }) => {
    createInterface({ input: stdout }).on("line", (line) => {
      const writer = writerIn(line);
      take(writer === undefined ? { kind: "change", describe: () => line } : { kind: "commit", writer });
    });
  },
};

const IP: ChangeMonitor = {
  name: "ip monitor",
  command: () => monitorCommand("ip", ["monitor", "link", "address", "route", "rule"]),
  group: "links",
  goesOnAfterErrors: true,
  read: (stdout, { take }) => {
    createInterface({ input: stdout }).on("line", (line) => {
      take({ kind: "change", describe: () => line });
      take({ kind: "commit", writer: undefined });
    });
  },
};

/** Those of this machine, the best first. */
export function changeMonitorsOf(tool: "nft" | "ip"): readonly ChangeMonitor[] {
  if (tool === "ip") return hasTool("ip") ? [IP] : [];
  return [...(hasTool(RULE_CHANGES_TOOL) ? [NETLINK] : []), ...(hasTool("nft") ? [NFT] : [])];
}

/** `# new generation 12 by process 21077 (nft)` */
export function writerIn(line: string): Writer | undefined {
  const parts = /^# new generation \d+(?: by process (\d+) \((.*)\))?/.exec(line);
  if (parts === null) return undefined;
  const [, pid, program] = parts;
  return { ...(pid === undefined ? {} : { pid: Number(pid) }), ...(program === undefined ? {} : { program }) };
}
