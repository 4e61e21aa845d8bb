import process from "node:process";
import { describeDataPath } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import { type IpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { tableName } from "../table/format-table.ts";
import type { NftTable } from "../table/nft-table.ts";
import { createKernelHost } from "../testing/kernel-host.ts";
import { meaningOf } from "../testing/meaning-of.ts";
import { tableHost } from "../testing/table-host.ts";
import { NftablesDataPath } from "./nftables-data-path.ts";

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

/** One of another version, where somebody names it: a suite that nobody asked for is none that was skipped. */
const OTHER_NFT = process.env["OTHER_NFT"];

if (OTHER_NFT !== undefined) {
  test.for([
    { first: "nft", second: OTHER_NFT },
    { first: OTHER_NFT, second: "nft" },
  ])(
    "what $first wrote, $second reads, changes and is not ended by",
    { timeout: 300_000 },
    async ({ first, second }) => {
      await using host = await createKernelHost();
      const [writer, reader] = [host.by(first), host.by(second)];
      const open = ({ machine }: typeof writer) => new NftablesDataPath({ machine }).open(signal);
      const told = async (by: typeof writer) =>
        Promise.all(
          ([4, 6] as const).map(async (family) => meaningOf((await by.tables.read(family, { signal })) ?? NOTHING)),
        );
      {
        await using session = await open(writer);
        for (const plan of PLANS) await session.apply(plan);
      }
      const written = await told(writer);
      expect(written.flat().length).toBeGreaterThan(0);
      expect(await told(reader)).toEqual(written);
      {
        await using session = await open(reader);
        for (const plan of [...PLANS].reverse()) await session.apply(plan);
      }
      expect(await told(writer)).toEqual(await told(reader));
      expect(await told(writer)).not.toEqual(written);
      for (const flag of ["-n", "-j"])
        for (const nft of [first, second]) {
          expect(await host.namespace.run(nft, [flag, "list", "ruleset"])).toMatchObject({ stderr: "" });
        }
    },
  );
}

const NOTHING: NftTable = { family: 4, collections: [], chains: [], elements: new Map() };

/** Each feature that needs a declaration of its own; the last is the least. */
const PLANS = [{}, { sessionAffinity: "ClientIP" }, { externalTrafficPolicy: "Local" }].map((service) => {
  const pods = ["2", "3"].map((last) => ({ name: `p${last}`, addresses: [`10.5.0.${last}:80`, `[fd05::${last}]:80`] }));
  const host = { name: "one", addresses: ["192.168.1.6", "fd01::6"], podCIDRs: ["10.5.0.0/24", "fd05::/64"], pods };
  const web = {
    ...{ name: "web", clusterIPs: ["10.100.0.1", "fd10::1"], loadBalancerIPs: ["203.0.113.1", "2001:db8::1"] },
    ...{ loadBalancerSourceRanges: ["10.0.0.0/8", "fd00::/8"], endpoints: ["p2", "p3"], ...service },
    ports: (["TCP", "UDP", "SCTP"] as const).map((protocol) => ({
      name: protocol.toLowerCase(),
      port: 80,
      nodePort: 30080,
      protocol,
    })),
  };
  const node = { serviceCIDRs: ["10.100.0.0/16", "fd10::/112"], localhostNodePorts: true };
  const text = JSON.stringify({ hosts: [host], services: [web], node });
  return planHost(parseTopology(Buffer.from(text), { file: "plan" }).topology, { host: "one" });
});

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
