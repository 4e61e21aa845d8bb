import type { Variant } from "@svcproxy/host";
import type { DataPathHost } from "@svcproxy/host/testing";
import type { IpAddress } from "@svcproxy/topology";
import type { RuleTables } from "../../kernel/rule-tables.ts";
import { IptablesDataPath } from "../iptables-data-path.ts";
import type { IptablesSettings } from "../iptables-settings.ts";
import { testMachine } from "./test-machine.ts";

/** What is refused of what is fed to the kernel. */
export class Refusal {
  what: readonly IpAddress[] | "everything" = [];

  /** Whether a line of restore input is to be refused. */
  refuses(line: string): boolean {
    if (this.what === "everything") return true;
    return /^-[AI] /.test(line) && this.what.some((address) => line.split(/[ /]/).includes(address));
  }
}

export interface RuleHostOptions extends AsyncDisposable {
  readonly tables: RuleTables;
  readonly variant: Variant;
  readonly settings: IptablesSettings;
  readonly refusal: Refusal;
  /** What somebody else does: `iptables …` and `ip6tables …` command lines. */
  run(script: string): Promise<void>;
  /** All rules of each family as `iptables-save` prints them, less tables that hold nothing. */
  dump(): Promise<readonly string[]>;
}

const FOREIGN = `
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t filter -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
ip6tables -t nat -A OUTPUT -p udp -m udp --dport 53 -j ACCEPT
`;

/** A machine that has rules of iptables, for the contract of data paths. */
export function ruleHost({
  tables,
  variant,
  settings,
  refusal,
  run,
  dump,
  ...disposable
}: RuleHostOptions): DataPathHost {
  return {
    ...disposable,
    dataPath: new IptablesDataPath({ settings, machine: testMachine({ tables, variant }) }),
    dump: async () => (await dump()).map(sortDump).join(""),
    addForeign: () => run(FOREIGN),
    async damage() {
      const chain = /^-A \S+ -d 10\.100\.0\.1\/32 .*--dport 80 .*-j (KUBE-SVC-\S+)$/m.exec(
        (await dump()).join(""),
      )?.[1];
      if (chain === undefined) throw new Error("no rule leads to default/web");
      await run(`iptables -t nat -F ${chain}\niptables -t nat -D OUTPUT 1`);
    },
    wipe: () =>
      run(
        ["iptables", "ip6tables"]
          .flatMap((tool) => ["nat", "filter"].flatMap((table) => [`${tool} -t ${table} -F`, `${tool} -t ${table} -X`]))
          .join("\n"),
      ),
    async refuse(what) {
      refusal.what = what;
    },
  };
}

/** A dump with its tables, their chains and the rules of each in order, sorted by name: the kernel lists them as they came. */
function sortDump(dump: string): string {
  return dump
    .split(/(?<=^COMMIT\n)/m)
    .map(sortTable)
    .sort()
    .join("");
}

function sortTable(text: string): string {
  const [title = "", ...lines] = text.split("\n").filter((line) => line !== "" && line !== "COMMIT");
  if (title === "") return "";
  const chains = lines.filter((line) => line.startsWith(":")).sort();
  const rules = Map.groupBy(
    lines.filter((line) => !line.startsWith(":")),
    (line) => line.split(" ")[1] ?? "",
  );
  const sorted = [...rules].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, own]) => own);
  return [title, ...chains, ...sorted, "COMMIT\n"].join("\n");
}
