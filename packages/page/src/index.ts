export type { Listed, ListedHost, Viewed, ViewedHost } from "./engine/viewed.ts";
export { type CountsReading, FollowedData, type FollowedSource, type ShownService } from "./followed-data.ts";
export type * from "./model.ts";
export { drawTraceAsSvg } from "./picture/draw-trace.tsx";
export { exportedPage } from "./server/page-html.ts";
export { type ServedPage, type ServeOptions, servePage } from "./server/serve-page.ts";
