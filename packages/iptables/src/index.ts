export * from "./compile-options.ts";
export * from "./compile-rules.ts";
export * from "./desired-rules.ts";
export * from "./dispatch/dispatch-mode.ts";
export * from "./full-rule-set.ts";
export * from "./script/fold-script.ts";
export * from "./script/format-script.ts";
export * from "./script/script.ts";
