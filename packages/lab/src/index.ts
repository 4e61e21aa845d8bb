export * from "./kernel-support.ts";
export * from "./network-namespace.ts";
