import { hostname } from "node:os";
import { expect, test } from "vitest";
import { nodeName } from "./node-name.ts";

test.for([
  { told: "node1", is: "node1" },
  { told: " Node1.Example ", is: "node1.example" },
  { told: "", is: hostname().toLowerCase() },
  { told: undefined, is: hostname().toLowerCase() },
])("a machine that is told to be $told is $is", ({ told, is }) => {
  expect(nodeName(told)).toBe(is);
});

test.for([
  { told: "$(NODE_NAME)", hint: /variable NODE_NAME/ },
  { told: "node1,metadata.name=node2", hint: /kubectl get nodes/ },
  { told: "node_1", hint: /kubectl get nodes/ },
  { told: "a".repeat(254), hint: /kubectl get nodes/ },
])("$told is refused: no Node has such a name", ({ told, hint }) => {
  expect(() => nodeName(told)).toThrow(
    expect.objectContaining({ code: "BAD_NAME", hint: expect.stringMatching(hint) }),
  );
});
