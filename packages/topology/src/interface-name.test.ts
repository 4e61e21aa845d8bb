import { expect, test } from "vitest";
import { judgeInterfaceName } from "./interface-name.ts";

test.for(["cni0", "br-1a2b3c4d5e6f", "eth0.100", "wlan@é", "a"])("%s is a name", (text) => {
  expect(judgeInterfaceName(text, "name")).toBeUndefined();
});

test.for([
  ["", "no name of a network interface"],
  ["a b", "no name of a network interface"],
  ["cni0\n-A x", "no name of a network interface"],
  ["a/b", "no name of a network interface"],
  ["eth0:1", "no name of a network interface"],
  ["..", "no name of a network interface"],
  ["cni+", "a + at the end stands for any further letters"],
  ["br-1a2b3c4d5e6f7", "no name of a network interface: it is too long"],
  ["ééééééée", undefined],
  ["éééééééé", "no name of a network interface: it is too long"],
])("%j as a name: %s", ([text = "", reason]) => {
  expect(judgeInterfaceName(text, "name")?.reason).toBe(reason);
});

test.for([
  ["cali", undefined],
  ["..", undefined],
  ["fourteen-bytes", undefined],
  ["fifteen-bytes-x", "no beginning of a network interface's name: it is too long"],
  ["cali+", "a + at the end stands for any further letters"],
  ["x y", "no beginning of a network interface's name"],
])("%j as a prefix: %s", ([text = "", reason]) => {
  expect(judgeInterfaceName(text, "prefix")?.reason).toBe(reason);
});
