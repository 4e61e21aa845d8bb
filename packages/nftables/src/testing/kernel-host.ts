import { runTool, type ToolRunner } from "@svcproxy/host";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { NftMachine } from "../data-path/nft-machine.ts";
import { KernelTables } from "../nft/kernel-tables.ts";

/** A network namespace of its own, and our tables in it. */
export interface KernelHost extends AsyncDisposable {
  readonly namespace: NetworkNamespace;
  readonly tables: KernelTables;
  /** Its tables and nothing else that a data path asks for: no lock, no UDP flows, no sysctls. */
  readonly machine: NftMachine;
  /** The same namespace, seen and changed by another nft. */
  by(nft: string): Pick<KernelHost, "tables" | "machine">;
}

export interface KernelHostOptions {
  /** What is fed to nft instead of what we wrote. */
  readonly edit?: (input: string) => string;
}

export async function createKernelHost({ edit = (input) => input }: KernelHostOptions = {}): Promise<KernelHost> {
  const namespace = await createNetworkNamespace();
  const by = (nft: string) => openBy(nft, { namespace, edit });
  return { namespace, ...by("nft"), by, [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose]() };
}

function openBy(
  nft: string,
  { namespace, edit }: Required<KernelHostOptions> & Pick<KernelHost, "namespace">,
): Pick<KernelHost, "tables" | "machine"> {
  const run: ToolRunner = (tool, args, options = {}) =>
    runTool("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, tool === "nft" ? nft : tool, ...args], {
      ...options,
      called: tool,
      ...(options.input === undefined ? {} : { input: edit(options.input) }),
    });
  const tables = new KernelTables({ run });
  return {
    tables,
    machine: {
      open: async () => ({
        readListeners: async () => [],
        readHolders: async () => new Map(),
        requireSupport: (family, options) => tables.requireSupport(family, options),
        read: (family, options) => tables.read(family, options),
        commit: (changes) => tables.commit(changes),
        isAsWritten: (written) => tables.isAsWritten(written),
        renewLease: (families) => tables.renewLease(families),
        readUnremembered: (family, options) => tables.readUnremembered(family, options),
        settleUdp: async () => 0,
        lostGuard: async () => undefined,
        problemsWith: async () => [],
        async [Symbol.asyncDispose]() {},
      }),
    },
  };
}
