import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

/**
 * Makes the pictures of the root README of the screenshots that the tests make, much smaller:
 *
 *     vitest run packages/page/src/screenshots.browser.test.ts && pnpm --filter @svcproxy/page pictures
 */
const PICTURES = ["overview", "hosts", "agent", "packet"].flatMap((view) =>
  ["light", "dark"].map((theme) => `${view}-${theme}`),
);
/** Of WebP, from 0 to 1: letters stay clear. */
const QUALITY = 0.8;

const reports = join(import.meta.dirname, "reports");
const images = join(import.meta.dirname, "../../docs/images");
mkdirSync(images, { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
for (const name of PICTURES) {
  const png = readFileSync(join(reports, `${name}-wide.png`)).toString("base64");
  const webp = await page.evaluate(toWebp, { png, quality: QUALITY });
  writeFileSync(join(images, `${name}.webp`), Buffer.from(webp, "base64"));
}
await browser.close();

/** Runs in the page. */
async function toWebp({ png, quality }: { readonly png: string; readonly quality: number }): Promise<string> {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", quality).replace(/^.*,/, "");
}
