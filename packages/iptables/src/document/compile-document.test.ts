import { readFileSync } from "node:fs";
import { exampleTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";
import { formatShellScript } from "../script/format-script.ts";

/** The commands that the founding document gives for its host cloudos1, in its order. */
const documentCommands = readFileSync(new URL("../../golden/cloudos/document-cloudos1.txt", import.meta.url), "utf8");

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
