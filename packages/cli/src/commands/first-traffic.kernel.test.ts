import { once } from "node:events";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { type Lab, startLab, whyNoKernelTests } from "@svcproxy/lab";
import { exampleTopology } from "@svcproxy/topology";
import { describe, inject, test } from "vitest";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/cloudos.yaml", import.meta.url));

const SERVICES = [
  { vip: "10.100.100.1:7070", nodePort: 34211, endpoints: ["os1_my1", "os2_my1"] },
  { vip: "10.100.100.2:6060", nodePort: 34212, endpoints: ["os1_my2", "os2_my2"] },
] as const;

/** New connections for one count of shares. */
const CONNECTIONS = 80;

/** Of two equal shares, one in a million samples is further from its due: chi-square with one degree of freedom. */
const CHI_SQUARE_LIMIT = 23.93;

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl", "iptables-nft", "iptables-legacy", "conntrack"]);

/** The pods that answered, in order, each over a connection of its own. */
async function answers(
  lab: Lab,
  { from, to, count }: { from: string; to: string; count: number },
): Promise<readonly string[]> {
  const url = `http://${to}/?[1-${count}]`;
  const { stdout, stderr } = await lab.run(from, ["curl", "-sS", "-m", "20", "-H", "Connection: close", url]);
  const lines = stdout.split("\n").filter((line) => line !== "");
  if (lines.length !== count) throw new Error(`${lines.length} of ${count} answers from ${to} to ${from}: ${stderr}`);
  return lines.map((line) => line.split(" ")[0] ?? "");
}

/** How far the counts are from equal shares. */
function chiSquare(answered: readonly string[], endpoints: readonly string[]): number {
  const due = answered.length / endpoints.length;
  return endpoints.reduce(
    (sum, endpoint) => sum + (answered.filter((name) => name === endpoint).length - due) ** 2 / due,
    0,
  );
}

async function svcproxy(lab: Lab, place: string, args: readonly string[], input?: string) {
  return lab.run(place, [process.execPath, inject("program"), ...args], input === undefined ? {} : { input });
}

describe.skipIf(reason !== undefined)(
  `first traffic${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 120_000 },
  () => {
    for (const variant of ["nft", "legacy"] as const) {
      test(`a host with the document's rules answers on VIPs and NodePorts, each endpoint with its share (iptables-${variant})`, async ({
        expect,
      }) => {
        await using started = await startLab(exampleTopology().topology);
        const { lab } = started;
        const applied = await svcproxy(lab, "cloudos1", ["iptables", "apply", EXAMPLE, "--variant", variant]);
        expect(applied).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^done/) });
        for (const { vip, nodePort, endpoints } of SERVICES) {
          const ways = [
            ...["os1_my1", "os1_my2", "cloudos1"].map((from) => ({ from, to: vip })),
            ...["os1_my1", "os1_my2", "cloudos1", "client", "cloudos2"].map((from) => ({
              from,
              to: `192.168.1.6:${nodePort}`,
            })),
          ];
          for (const { from, to } of ways) {
            const answered = await answers(lab, { from, to, count: CONNECTIONS });
            expect(new Set(answered), `${from} to ${to}`).toEqual(new Set(endpoints));
            expect(chiSquare(answered, endpoints), `${from} to ${to}: ${answered}`).toBeLessThan(CHI_SQUARE_LIMIT);
          }
        }
        expect(await svcproxy(lab, "cloudos1", ["iptables", "cleanup"])).toMatchObject({ exitCode: 0 });
        const refused = await lab.run("client", ["curl", "-sS", "-m", "2", "http://192.168.1.6:34211/"]);
        expect(refused.exitCode).not.toBe(0);
      });

      test(`an established connection goes on while the rules around it change (iptables-${variant})`, async ({
        expect,
      }) => {
        await using started = await startLab(exampleTopology().topology);
        const { lab } = started;
        const apply = (input: string) =>
          svcproxy(lab, "cloudos1", ["iptables", "apply", "-", "--variant", variant], input);
        const example = await readFile(EXAMPLE, "utf8");
        expect(await apply(example)).toMatchObject({ exitCode: 0 });
        const script =
          'exec 3<>/dev/tcp/10.100.100.1/7070; echo ready; read -r _; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3';
        const child = lab.spawn("os1_my2", ["bash", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
        if (child.stdout === null || child.stdin === null) throw new Error("no pipes");
        const output = text(child.stdout);
        await once(child.stdout, "readable");
        const changed = example
          .replace("10.100.100.2", "10.100.100.22")
          .replace("endpoints: [os1_my2, os2_my2]", "endpoints: [os2_my2]");
        expect(await apply(changed)).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^done/) });
        child.stdin.end("\n");
        expect(await output).toMatch(/os[12]_my1 /);
      });
    }
  },
);
