import { expect, test } from "vitest";
import { layOut } from "./lay-out.ts";

const box = (id: string, height: number) => ({ id, width: 100, height });
const line = (from: string, to: string) => ({ from, to, label: "" });

/** A high box leads to a low one, and a low one to two high ones. */
const BOXES = [
  box("start", 40),
  box("a", 300),
  box("b", 40),
  box("a end", 40),
  { ...box("b1", 200), width: 60 },
  box("b2", 200),
];
const LINES = [line("start", "a"), line("start", "b"), line("a", "a end"), line("b", "b1"), line("b", "b2")];

test("boxes of a tree stand as high as the first to which they lead, and none over another", () => {
  const { boxes, height } = layOut(BOXES, LINES, { keepsOrder: true, alignsTop: true });
  const of = (id: string) => boxes.get(id) ?? { x: 0, y: 0, width: 0, height: 0 };
  expect(of("a").y).toBe(of("start").y);
  expect(of("a end").y).toBe(of("a").y);
  expect(of("b1").y).toBe(of("b").y);
  expect(of("b").y).toBeGreaterThanOrEqual(of("a").y + of("a").height);
  expect(of("b2").y).toBeGreaterThanOrEqual(of("b1").y + of("b1").height);
  expect(of("b1").x).toBe(of("b2").x);
  for (const { y, height: own } of boxes.values()) expect(y + own).toBeLessThanOrEqual(height);
});

test("frames of groups are equally wide, and so are the boxes in them", () => {
  const boxes = [
    { ...box("one", 40), group: "a host with a name that is longer than its boxes" },
    { ...box("two", 40), group: "b", width: 200 },
  ];
  const layout = layOut([box("start", 40), ...boxes], [line("start", "one"), line("start", "two")]);
  const widths = [...layout.groups.values()].map(({ width }) => width);
  expect(new Set(widths).size).toBe(1);
  expect(layout.boxes.get("one")?.width).toBe(layout.boxes.get("two")?.width);
});
