export * from "./desired-rules.ts";
