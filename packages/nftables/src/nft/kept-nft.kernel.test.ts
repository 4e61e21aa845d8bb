import process from "node:process";
import { EndedTool, MAX_LINE_BYTES, ToolShell } from "@svcproxy/host";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { type KeptNft, keepNft } from "./kept-nft.ts";
import { CHECK_FLAGS } from "./kernel-tables.ts";

const reason = whyNoKernelTests(["ip", "nft", "nsenter"]);
const TIMEOUT_MS = 60_000;

const TABLE = `table ip mine {
  map places { type mark : verdict; comment "mark -> chain"; }
  set marks { type mark; }
  chain one {
    accept
  }
}
`;

/** A namespace with that table, and nfts that live on in it. */
async function begin({ command = ["sh"] }: { readonly command?: readonly string[] } = {}) {
  const stack = new AsyncDisposableStack();
  const namespace = stack.use(await createNetworkNamespace());
  const inside = ["nsenter", `--net=/proc/${namespace.pid}/ns/net`] as const;
  const shell = stack.use(new ToolShell({ command: [...inside, ...command] }));
  const pids: number[] = [];
  const keep: typeof shell.keep = (options) => shell.keep({ ...options, onWork: (pid) => pids.push(pid) });
  const keepOne = (flags: readonly string[] = []): KeptNft => {
    const kept = keepNft({ keep }, { flags });
    if (kept === undefined) throw new Error("it cannot live on");
    return stack.use(kept);
  };
  await namespace.run("nft", ["-f", "-"], { input: TABLE });
  return {
    ...{ namespace, pids, writer: keepOne(), reader: keepOne(CHECK_FLAGS) },
    marks: async () => {
      const { stdout } = await namespace.run("nft", ["list", "set", "ip", "mine", "marks"]);
      return [...stdout.matchAll(/0x(\d{8})/g)].map(([, mark]) => Number(mark));
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe.skipIf(reason !== undefined)(`an nft that lives on${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("carries out what takes several lines as one transaction, by one process", { timeout: TIMEOUT_MS }, async () => {
    await using host = await begin();
    const { writer, marks, pids } = host;
    const more = "add element ip mine marks {\n2,\n3\n}\nadd element ip mine places {\n1 : goto one\n}\n";
    expect(await writer.run("add element ip mine marks {\n1\n}\n")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await writer.run(`delete element ip mine marks {\n1\n}\n${more}`)).toMatchObject({ exitCode: 0 });
    expect(await marks()).toEqual([2, 3]);
    expect(new Set(pids).size).toBe(1);
    const refused = await writer.run("delete element ip mine marks {\n2\n}\ndelete element ip mine marks {\n9\n}\n");
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("No such file or directory") });
    expect(await marks()).toEqual([2, 3]);
  });

  test("compares without changing anything, and sees what others changed meanwhile", {
    timeout: TIMEOUT_MS,
  }, async () => {
    await using host = await begin();
    const { reader, namespace, marks } = host;
    const question = "add element ip mine places {\n1 : goto one\n}\nlist ruleset ip\n";
    for (const rule of ["accept", "drop"]) {
      await namespace.run("nft", [`add rule ip mine one meta mark 7 ${rule}`]);
      const answer = await reader.run(question);
      expect(answer).toMatchObject({ exitCode: 0, stderr: "" });
      expect(answer?.stdout).toContain(`meta mark 0x00000007 ${rule}`);
      expect(answer?.stdout.match(/^table ip mine/gm)).toHaveLength(1);
    }
    await reader.run("add element ip mine marks {\n5\n}\n");
    expect(await marks()).toEqual([]);
  });

  test("takes nothing but elements and listings, and no more than goes out at once", async () => {
    await using host = await begin();
    const long = Array.from({ length: MAX_LINE_BYTES / 4 }, (_, index) => index + 1000).join(",\n");
    for (const commands of [
      "delete table ip mine\n",
      "flush set ip mine marks\n",
      "add rule ip mine one drop\n",
      "add element ip mine marks { 1 }; delete table ip mine\n",
      `add element ip mine marks {\n${long}\n}\n`,
    ]) {
      expect(await host.writer.run(commands)).toBeUndefined();
    }
    expect(await host.marks()).toEqual([]);
  });

  test("one that is killed is a fault where it was at work, and begins anew where it was not", {
    timeout: TIMEOUT_MS,
  }, async () => {
    await using host = await begin();
    const add = (mark: number) => host.writer.run(`add element ip mine marks {\n${mark}\n}\n`);
    await add(1);
    const [first] = host.pids;
    if (first === undefined) throw new Error("it has no pid");
    process.kill(first, "SIGSTOP");
    const waiting = add(2);
    process.kill(first, "SIGKILL");
    await expect(waiting).rejects.toBeInstanceOf(EndedTool);
    expect(await add(3)).toMatchObject({ exitCode: 0 });
    expect(await host.marks()).toEqual([1, 3]);
    expect(new Set(host.pids).size).toBe(2);
  });

  test("where there can be none, nothing is done", async () => {
    await using namespace = await createNetworkNamespace();
    const inside = ["nsenter", `--net=/proc/${namespace.pid}/ns/net`, "env", "PATH=/nowhere", "/bin/sh"] as const;
    await using shell = new ToolShell({ command: inside });
    await using kept = keepNft(shell);
    for (let round = 0; round < 2; round++) expect(await kept?.run("list ruleset ip\n")).toBeUndefined();
  });
});
