import { describeDataPath } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import type { IpAddress } from "@svcproxy/topology";
import { tableName } from "../table/format-table.ts";
import { createKernelHost } from "../testing/kernel-host.ts";
import { tableHost } from "../testing/table-host.ts";

const { signal } = new AbortController();

const FOREIGN = `
table inet theirs {
	chain forward {
		type filter hook forward priority filter; policy accept;
		tcp dport 22 accept
	}
}
table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8080 dnat to 172.17.0.2:80
	}
}
`;

/** A line that no nft takes, for a reason that is none of the table's. */
const REFUSED = "refused for a test\n";

describeDataPath(
  "nftables",
  async () => {
    let refused: readonly IpAddress[] | "everything" = [];
    const isRefused = (input: string) =>
      refused === "everything" || refused.some((address) => input.split(/[\s{},]+/).includes(address));
    const host = await createKernelHost({ edit: (input) => (isRefused(input) ? REFUSED : input) });
    const { namespace, tables, machine } = host;
    return tableHost({
      machine,
      read: (family) => tables.read(family, { signal }),
      async dumpForeign() {
        const { stdout } = await namespace.run("nft", ["-s", "list", "ruleset"]);
        return stdout.replaceAll(/^table ip6? svcproxy \{\n.*?^\}\n/gms, "");
      },
      addForeign: async () => void (await namespace.run("nft", ["-f", "-"], { input: FOREIGN })),
      async removeElement(family, collection, key) {
        await namespace.run("nft", [`delete element ${tableName(family)} ${collection} { ${key} }`]);
      },
      removeTable: async (family) => void (await namespace.run("nft", [`delete table ${tableName(family)}`])),
      async refuse(what) {
        refused = what;
      },
      [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
    });
  },
  { skip: whyNoKernelTests(["ip", "nft", "nsenter"]), walks: 4 },
);
