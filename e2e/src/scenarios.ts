import { CHANGE_UNDER_LOAD } from "./scenarios/change-under-load.ts";
import { DOCTOR } from "./scenarios/doctor.ts";
import { DOCUMENTS_EVIDENCE } from "./scenarios/documents-evidence.ts";
import { KEPT_TRUE } from "./scenarios/kept-true.ts";
import { REACHABILITY } from "./scenarios/reachability.ts";
import { LOOP_REFUSED, REFUSED_AT_ONCE } from "./scenarios/refused-at-once.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { SHARES } from "./scenarios/shares.ts";
import { UNRELATED } from "./scenarios/unrelated.ts";

/** What svcproxy promises. Each entry is a row of the matrix; every row is played on every data path that can carry it. */
export const SCENARIOS: readonly Scenario[] = [
  ...REACHABILITY,
  SHARES,
  REFUSED_AT_ONCE,
  LOOP_REFUSED,
  UNRELATED,
  DOCUMENTS_EVIDENCE,
  CHANGE_UNDER_LOAD,
  KEPT_TRUE,
  DOCTOR,
];
