import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { viewedOf } from "../testing/example-viewed.ts";
import { exportedPage, livePage } from "./page-html.ts";

/** In all: framework, layout, the engine that follows packets offline, and the page itself. */
const MOST_BYTES = 250_000;

test.for([
  { name: "the page that a server sends", html: () => livePage() },
  { name: "an exported page without anything to show", html: () => exportedPage(viewedOf([])) },
])("$name is small", ({ html }) => {
  const { length } = gzipSync(html());
  expect(length).toBeLessThan(MOST_BYTES);
  expect(length).toBeGreaterThan(10_000);
});
