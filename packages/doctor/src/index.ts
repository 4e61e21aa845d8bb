export * from "./cause.ts";
export type { CauseCode } from "./cause-codes.ts";
export { type DiagnoseOptions, diagnose } from "./diagnose.ts";
export { EXPLAINED_CODES, EXPLANATIONS } from "./explanations/explanations.ts";
export { findingsOf } from "./findings.ts";
export { type Observation, ObservedHost } from "./observation.ts";
export { type DialResult, type DialTarget, type Prober, realProber } from "./probes/prober.ts";
export { renderDiagnosis, renderRemedies } from "./render-diagnosis.ts";
