import { expect, test } from "vitest";
import { LocalData } from "../engine/local-data.ts";
import { exampleViewed, FIREWALL } from "../testing/example-viewed.ts";
import { drawTraceAsSvg } from "./draw-trace.tsx";
import { pictureOf } from "./trace-picture.ts";

const PACKET = { host: "cloudos1", from: "10.5.75.2", to: "10.100.100.2", port: 6060, protocol: "tcp" };

async function traced(extra = "") {
  return new LocalData(exampleViewed({ extra })).trace(PACKET);
}

test("what branches have in common is one box, and each goes on with its share", async () => {
  const { boxes, lines } = pictureOf(await traced());
  expect(boxes.map(({ kind }) => kind)).toEqual(["packet", "steps", "steps", "end", "steps", "end"]);
  expect(lines.map(({ label }) => label)).toEqual(["", "50 %", "", "50 %", ""]);
});

test("where a packet dies comes first, and the step that decided is marked", async () => {
  const { boxes } = pictureOf(await traced(FIREWALL));
  const [end] = boxes.filter((box) => box.kind === "end");
  expect(end).toMatchObject({ verdict: "dropped", title: "Dropped here" });
  const decided = boxes
    .flatMap((box) => (box.kind === "steps" ? box.rows : []))
    .filter((row) => row.kind !== "hook" && row.decided);
  expect(decided).toMatchObject([{ place: "filter FORWARD rule 1", rule: "-d 10.5.75.3/32 -j DROP" }]);
});

test("a way of which the answer is lost is drawn as one that ends badly, and comes first", async () => {
  const trace = await traced();
  const [first, second] = trace.branches;
  if (first === undefined || second?.reply == null) throw new Error("no branches with answers");
  const lost = { ...second, reply: { ...second.reply, returns: false, because: "the answer is dropped" } };
  const svg = drawTraceAsSvg({ ...trace, branches: [first, lost] });
  expect(svg.match(/class="box end (\w+)"/g)).toEqual(['class="box end lost"', 'class="box end accepted"']);
  expect(svg).toMatch(/class="bad"[^>]*>✕ The answer is lost/);
});

test("more ways than can be seen at once are counted", async () => {
  const trace = await traced();
  const [branch] = trace.branches;
  if (branch === undefined) throw new Error("no branch");
  const branches = Array.from({ length: 40 }, (_, index) => ({ ...branch, because: `way ${index}` }));
  expect(pictureOf({ ...trace, branches }).untold).toBe(24);
});

test("the SVG has every box, stands alone, and what rules say is text in it", async () => {
  const trace = await traced();
  const [branch] = trace.branches;
  if (branch === undefined) throw new Error("no branch");
  const svg = drawTraceAsSvg({
    ...trace,
    branches: [{ ...branch, because: "</text><script>alert(1)</script>\u202e" }],
  });
  expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  expect(svg).not.toContain("<script>");
  expect(svg).not.toContain("\u202e");
  expect(svg).toContain("KUBE-SVC-2");
  expect(svg).not.toContain("NaN");
});
