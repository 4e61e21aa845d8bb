export * from "./data-path.ts";
