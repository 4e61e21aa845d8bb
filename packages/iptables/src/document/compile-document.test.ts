import { existsSync, readFileSync } from "node:fs";
import { exampleTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";
import { formatShellScript } from "../script/format-script.ts";

/** The commands that the founding document gives for its host cloudos1, in its order. */
const documentCommands = readFileSync(new URL("../../golden/cloudos/document-cloudos1.txt", import.meta.url), "utf8");

/** Where the document itself lies beside the checkout. */
const documentFile = new URL("../../../../../shared/reference/clusterip-iptables-design.md", import.meta.url);

function commandsFor(host: string): string[] {
  const plan = planHost(exampleTopology().topology, { host });
  return [...formatShellScript(compileScript(plan, { dialect: "document", family: 4 }))]
    .join("")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

test("the document's set-up gives the document's commands, one by one", () => {
  expect(commandsFor("cloudos1")).toEqual(documentCommands.trimEnd().split("\n"));
});

test("the second host gets the same but for its own address", () => {
  expect(commandsFor("cloudos2")).toEqual(documentCommands.trimEnd().replace("192.168.1.6", "192.168.1.7").split("\n"));
});

test.skipIf(!existsSync(documentFile))("the golden commands are the document's", () => {
  const blocks = readFileSync(documentFile, "utf8").matchAll(/```\s*sh\n(.*?)```/gs);
  const commands = [...blocks]
    .flatMap(([, block = ""]) => block.split("\n"))
    .filter((line) => line.startsWith("iptables ") && !line.includes(" -L "))
    .map((line) => line.replaceAll(/ +/g, " ").trimEnd());
  expect(documentCommands.trimEnd().split("\n")).toEqual(commands);
});
