import type { DataPathHost } from "@svcproxy/host/testing";
import type { Family, IpAddress } from "@svcproxy/topology";
import type { NftMachine } from "../data-path/nft-machine.ts";
import { NftablesDataPath } from "../data-path/nftables-data-path.ts";
import type { NftTable } from "../table/nft-table.ts";
import { meaningOf } from "./meaning-of.ts";

export interface TableHostOptions extends AsyncDisposable {
  readonly machine: NftMachine;
  read(family: Family): Promise<NftTable | undefined>;
  /** Tables that are not ours, as text. */
  dumpForeign(): Promise<string>;
  addForeign(): Promise<void>;
  /** Removes an element of our table of a family. */
  removeElement(family: Family, collection: string, key: string): Promise<void>;
  removeTable(family: Family): Promise<void>;
  refuse(what: readonly IpAddress[] | "everything"): Promise<void>;
}

/** A machine that has our tables, for the contract of data paths. */
export function tableHost({ machine, read, ...host }: TableHostOptions): DataPathHost {
  const tables = async () => {
    const found = await Promise.all(([4, 6] as const).map(read));
    return found.filter((table) => table !== undefined);
  };
  return {
    dataPath: new NftablesDataPath({ machine }),
    // Numbers of groups, and what nothing leads to, differ between tables that do the same.
    dump: async () =>
      (await tables())
        .flatMap(meaningOf)
        .map((line) => `${line}\n`)
        .join("") + (await host.dumpForeign()),
    addForeign: () => host.addForeign(),
    async damage() {
      for (const table of await tables()) {
        const web = [...(table.elements.get("services") ?? [])].find(([, { comment }]) => comment === "default/web");
        if (web === undefined) throw new Error("no address leads to default/web");
        const group = web[1].data.replace(/:.*/, "");
        await host.removeElement(table.family, "endpoints-tcp", `${group}:0 . 0`);
      }
    },
    async wipe() {
      for (const { family } of await tables()) await host.removeTable(family);
    },
    refuse: (what) => host.refuse(what),
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  };
}
