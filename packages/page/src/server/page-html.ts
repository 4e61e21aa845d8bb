/// <reference path="../browser-text.d.ts" />
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import fileScript from "../app/main-file.tsx?for-browser";
import liveScript from "../app/main-live.tsx?for-browser";
import style from "../app/style.css?for-browser";
import type { Viewed } from "../engine/viewed.ts";

/** The page that asks a server. */
export function livePage(): string {
  return page({ script: liveScript, carried: "" });
}

/** One file that shows what was read, by itself and offline. */
export function exportedPage(viewed: Viewed): string {
  const packed = gzipSync(JSON.stringify(viewed)).toString("base64");
  return page({
    script: fileScript,
    carried: `<script type="application/octet-stream" id="viewed">${packed}</script>\n`,
  });
}

/**
 * Nothing may run or be loaded but what stands here. Headers say so for what a server sends; a file says it of itself.
 *
 * @param connects whether the page may ask its server
 */
function contentPolicy({ script, connects }: { readonly script: string; readonly connects: boolean }): string {
  return [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    // A page that asks nobody works the rules out itself, in a worker of its own script.
    ...(connects ? ["connect-src 'self'"] : ["connect-src 'none'", "worker-src blob:"]),
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** With what only a header can say. */
export function livePagePolicy(): string {
  return `${contentPolicy({ script: escapeScript(liveScript), connects: true })}; frame-ancestors 'none'`;
}

function page({ script, carried }: { readonly script: string; readonly carried: string }): string {
  const inline = escapeScript(script);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy({ script: inline, connects: carried === "" })}">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>svcproxy</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<noscript>This page needs JavaScript: it draws what svcproxy knows.</noscript>
${carried}<script>${inline}</script>
</body>
</html>
`;
}

/** A script ends at the first end tag, in a text of it too. */
function escapeScript(script: string): string {
  return script.replaceAll("</script", "<\\/script").replaceAll("<!--", "\\x3C!--");
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
