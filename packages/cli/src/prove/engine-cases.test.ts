import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

/** Rules and hosts on which an answer is known from the kernel; each stands for a kind. */
const data = (name: string) => join(import.meta.dirname, "../testing/engine-cases", name);
const example = join(import.meta.dirname, "../../../../examples/cloudos.yaml");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-cases-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Of each claim that is not held, its number and what became of it. */
async function proven(...words: readonly string[]): Promise<readonly string[]> {
  const run = await runInMemory(["prove", ...words, "--json"]);
  const { proofs } = JSON.parse(run.stdout);
  const claims: { number: number; status: string }[] = proofs.flatMap(({ claims }: { claims: [] }) => claims);
  const open = claims.filter(({ status }) => status !== "held").map(({ number, status }) => `${number} ${status}`);
  const isBroken = open.some((text) => text.endsWith("broken"));
  expect(run.exitCode).toBe(isBroken ? 3 : open.length > 0 ? 4 : 0);
  return open;
}

const node = [data("node.yaml"), "--config", data("proxy-config.yaml"), "--host", "node1"];
const lab = [data("lab.yaml"), "--host", "n1"];

function proveNode(rules: string): Promise<readonly string[]> {
  writeFileSync(join(folder, "rules"), rules);
  return proven(...node, "--allow-external-ips", "198.18.0.0/16", "--rules", join(folder, "rules"));
}

describe("rules of a proxy with affinity", () => {
  const saved = readFileSync(data("proxy.rules"), "utf8");
  /** One table more, above the saved ones. */
  const besides = (table: string, rule: string) => `*${table}\n:PREROUTING ACCEPT [0:0]\n${rule}\nCOMMIT\n${saved}`;

  test("hold as they are", async () => {
    expect(await proveNode(saved)).toEqual([]);
  });

  test("hold where only a list that has its mask already is given another", async () => {
    expect(await proveNode(saved.replaceAll(/(--rcheck[^\n]*--mask) 255\.255\.255\.255/g, "$1 255.255.255.0"))).toEqual(
      [],
    );
  });

  test.for<readonly [string, RegExp | string, string]>([
    [
      "write the other endpoint's list",
      "--set --name KUBE-SEP-IH2EE6ZYXSPSQ25X",
      "--set --name KUBE-SEP-PAVUYOEXIM2G3KDZ",
    ],
    ["take who is not on the list", /-m recent --rcheck/, "-m recent ! --rcheck"],
    ["ask for two hits", /--rcheck --seconds (\d+) --reap/g, "--rcheck --seconds $1 --reap --hitcount 2"],
    ["ask for another time", /--rcheck --seconds \d+/g, "--rcheck --seconds 60"],
    ["look for the destination", /(--rcheck[^\n]*)--rsource/g, "$1--rdest"],
    ["remember the destination", /(recent --set[^\n]*)--rsource/g, "$1--rdest"],
    ["keep only a network", /(recent --set[^\n]*--mask) 255\.255\.255\.255/g, "$1 255.255.255.0"],
  ])("are broken where they %s", async ([, from, to]) => {
    const rules = saved.replace(from, to);
    expect(rules).not.toBe(saved);
    expect(await proveNode(rules)).toContain("5 broken");
  });

  test("are broken where the draw comes before the lists", async () => {
    const lines = saved.split("\n");
    const chain = /^-A (KUBE-SVC-\w+) .*--rcheck/m.exec(saved)?.[1] ?? "";
    const isIn = (line: string) => line.startsWith(`-A ${chain} `);
    const draw = lines.find((line) => isIn(line) && line.includes("-m statistic")) ?? "";
    const others = lines.filter((line) => line !== draw);
    others.splice(
      others.findIndex((line) => isIn(line) && line.includes("--rcheck")),
      0,
      draw,
    );
    expect(await proveNode(others.join("\n"))).toContain("5 broken");
  });

  test("are broken where pods' connections are in another conntrack zone than their answers", async () => {
    const open = await proveNode(besides("raw", "-A PREROUTING -i cni0 -j CT --zone 5"));
    expect(open.some((text) => text.endsWith("broken"))).toBe(true);
  });

  test.for([
    ["mangle", "-A PREROUTING -j SET --map-set marks src --map-mark"],
    ["raw", "-A PREROUTING -m socket --restore-skmark"],
  ] as const)("are not held where the mark comes from what is not known: %j", async ([table, rule]) => {
    expect(await proveNode(besides(table, rule))).not.toEqual([]);
  });

  test.for([
    ["one by what they dial", ["-A PREROUTING -m recent --set --name seen --rdest"]],
    ["one of networks", ["-A PREROUTING -m recent --set --name seen --mask 255.255.0.0 --rsource"]],
    [
      "one that is asked with another time",
      [
        "-A PREROUTING -m recent --rcheck --seconds 60 --name seen --rsource -j ACCEPT",
        "-A PREROUTING -m recent --set --name seen --rsource",
      ],
    ],
  ] as const)("hold beside a list of somebody else: %s", async ([, rules]) => {
    expect(await proveNode(besides("mangle", rules.join("\n")))).toEqual([]);
  });

  test("are not broken by a limit that counts clients on a list of its own, which may drop them", async () => {
    const flood = [
      "-A PREROUTING -m recent --update --seconds 60 --hitcount 20 --name flood --rdest -j DROP",
      "-A PREROUTING -m recent --set --name flood --rdest",
    ];
    const open = await proveNode(besides("mangle", flood.join("\n")));
    expect(open).toContain("1 undecided");
    expect(open.filter((text) => text.endsWith("broken"))).toEqual([]);
  });

  test("are broken without the guard of 127.0.0.0/8", async () => {
    expect(await proveNode(readFileSync(data("unguarded.rules"), "utf8"))).toContain("8 broken");
  });
});

describe("nothing that is promised is broken by", () => {
  test("flannel's chains beside a proxy's", async () => {
    const allowed = ["--allow-external-ips", "198.18.0.9/32"];
    expect(await proven(...node, ...allowed, "--rules", data("flannel.rules"))).toEqual([]);
    expect(await proven(example, "--host", "cloudos1", "--rules", data("flannel-document.rules"))).toEqual([]);
  });

  test("Docker's masquerade", async () => {
    const docker = ["--rules", data("docker.rules"), "--host-state", data("docker.host")];
    expect(await proven(example, "--host", "cloudos1", ...docker)).toEqual([]);
  });

  test("the rules of wg-quick", async () => {
    const wireguard = ["--rules", data("wireguard.rules"), "--host-state", data("wg-quick.host")];
    expect(await proven(...lab, ...wireguard)).toEqual([]);
    const run = await runInMemory(["trace", ...wireguard, "--from", "10.244.1.6", "--to", "10.96.0.20:80"]);
    expect([run.exitCode, run.stderr.includes("NO_WAY_IN")]).toEqual([0, false]);
  });
});

test("a refusal whose answer is dropped tells nobody", async () => {
  const rules = ["--rules", data("refusal.rules"), "--host-state", data("lab.host")];
  expect(await proven(...lab, ...rules)).toContain("3 broken");
});

test("past a table that was not read no claim is held", async () => {
  const rules = ["--rules", data("unread-filter.rules"), "--host-state", data("lab.host")];
  const open = await proven(...lab, ...rules);
  expect(open).toEqual(Array.from({ length: 10 }, (_, index) => `${index + 1} undecided`));
});

test("a rule of `ip rule` with not is for all that the rest is not for", async () => {
  const rules = ["--rules", data("wireguard.rules"), "--host-state", data("not-unreachable.host")];
  const run = await runInMemory(["trace", ...rules, "--from", "192.0.2.100", "--to", "192.0.2.11:30080"]);
  expect(run.stdout).not.toMatch(/accepted/i);
  expect(run.stdout).toContain("unreachable");
});
