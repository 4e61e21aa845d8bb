import { describeDataPath } from "@svcproxy/host/testing";
import { formatChange } from "../change/table-change.ts";
import { MemoryMachine } from "../testing/memory-machine.ts";
import { tableHost } from "../testing/table-host.ts";

describeDataPath(
  "nftables in memory",
  async () => {
    const machine = new MemoryMachine();
    let foreign = "";
    return tableHost({
      machine,
      read: async (family) => machine.table(family).read(),
      dumpForeign: async () => foreign,
      async addForeign() {
        foreign = "table inet theirs\n";
      },
      removeElement: async (family, collection, key) => machine.table(family).removeElement(collection, key),
      removeTable: async (family) => machine.table(family).remove(),
      async refuse(what) {
        machine.refuses = (change) =>
          what === "everything" ||
          what.some((address) =>
            formatChange(change)
              .split(/[\s{},]+/)
              .includes(address),
          );
      },
      async [Symbol.asyncDispose]() {},
    });
  },
  { walks: 30 },
);
