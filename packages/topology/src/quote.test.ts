import { expect, test } from "vitest";
import { InputError } from "./errors.ts";
import { parseTopology } from "./file/parse-topology.ts";
import { parseKubernetes } from "./kubernetes/parse-kubernetes.ts";
import { nearestWord } from "./nearest-word.ts";
import { quote } from "./visible.ts";

const LONG = 1_000_000;

/** A topology in which one text is very long. */
function topology(texts: {
  host?: string;
  cidr?: string;
  pod?: string;
  podName?: string;
  name?: string;
  vip?: string;
  listed?: string;
}): unknown {
  const { host = "192.168.0.1", cidr = "10.5.0.0/24", pod = "10.5.0.2:80", podName = "p" } = texts;
  const { name = "s", vip = "10.100.0.1", listed = "p" } = texts;
  const pods = [{ name: podName, address: pod }];
  return {
    hosts: [{ name: "h", address: host, podCIDR: cidr, pods }],
    services: [{ name, clusterIP: vip, ports: [{ port: 80 }], endpoints: [listed] }],
  };
}

test("a text of any usual length is quoted whole, a longer one by its ends", () => {
  expect(quote('a "name"\n')).toBe('"a \\"name\\"\\n"');
  expect(quote("n".repeat(300))).toBe(`"${"n".repeat(300)}"`);
  const cut = quote(`start${"x".repeat(LONG)}end`);
  expect(cut).toMatch(/^"start.*…x*end"$/);
  expect(cut.length).toBeLessThan(500);
});

// Each of these took minutes, ended in a stack overflow of a pattern, or printed the whole text with each fault.
test.for([
  { name: "a VIP of colons", value: topology({ vip: "a:".repeat(LONG) }) },
  { name: "a VIP of groups", value: topology({ vip: "1:".repeat(LONG) }) },
  { name: "a VIP of names", value: topology({ vip: `${"a.".repeat(LONG)}!` }) },
  { name: "a VIP of zeros", value: topology({ vip: `${"0".repeat(LONG)}.0.0.0` }) },
  { name: "a pod's address of groups", value: topology({ pod: "1:".repeat(LONG) }) },
  { name: "a pod's port of digits", value: topology({ pod: `10.5.0.2:${"1".repeat(LONG)}` }) },
  { name: "a podCIDR", value: topology({ cidr: `${"1:".repeat(LONG)}/8` }) },
  { name: "an endpoint of groups", value: topology({ listed: "1:".repeat(LONG) }) },
  {
    name: "an endpoint nearly like a pod",
    value: topology({ podName: "a".repeat(LONG), listed: "a".repeat(LONG - 1) }),
  },
  { name: "a service's name", value: topology({ name: "a".repeat(LONG), vip: "none" }) },
  { name: "a key", value: { ["h".repeat(LONG)]: 1 } },
  { name: "a word", value: { hosts: "h".repeat(LONG) } },
])("$name of a million characters is refused in few words", ({ value }) => {
  const read = () => parseTopology(new TextEncoder().encode(JSON.stringify(value)), { file: "long.json" });
  expect(faultsOf(read).every(({ message, hint = "" }) => message.length + hint.length < 2500)).toBe(true);
});

test.for([
  { metadata: { name: "a".repeat(LONG) }, spec: { clusterIPs: ["10.96.0.1"] } },
  { metadata: { name: "a" }, spec: { clusterIPs: ["1:".repeat(LONG)] } },
  { metadata: { name: "a" }, spec: { type: "T".repeat(LONG) } },
  { metadata: { name: "a" }, spec: { clusterIPs: ["10.96.0.1"], externalTrafficPolicy: ["x".repeat(LONG)] } },
])("Kubernetes objects with long texts are refused in few words", (object) => {
  const text = JSON.stringify({ apiVersion: "v1", kind: "Service", ...object });
  const faults = faultsOf(() => parseKubernetes([{ file: "long.json", bytes: new TextEncoder().encode(text) }]));
  expect(faults.every(({ message, hint = "" }) => message.length + hint.length < 2500)).toBe(true);
});

test("words that are too long to compare are near to nothing, the others are still found", () => {
  const known = ["a".repeat(LONG), "web-1", "b".repeat(LONG)];
  expect(nearestWord("web-2", known)).toBe("web-1");
  expect(nearestWord("a".repeat(LONG - 1), known)).toBeUndefined();
});

function faultsOf(read: () => unknown) {
  try {
    read();
  } catch (error) {
    if (error instanceof InputError) return error.faults;
    throw error;
  }
  throw new Error("it was read");
}
