import type { TraceJson } from "@svcproxy/rules";
import { renderToString } from "preact-render-to-string";
import { PICTURE_STYLE } from "./picture-style.ts";
import { TraceDrawing } from "./trace-drawing.tsx";

/** The picture of a trace as an SVG file, in light and dark. */
export function drawTraceAsSvg(trace: TraceJson): string {
  return `${renderToString(<TraceDrawing trace={trace} style={<style>{PICTURE_STYLE}</style>} />)}\n`;
}
