import { describeTracedFlows, type TracedSubject } from "@svcproxy/host/testing";
import { createTracer } from "@svcproxy/rules";
import { compileRules } from "./compile-rules.ts";
import { fullRuleSet } from "./desired-rules.ts";

describeTracedFlows(
  (["document", "kubernetes"] as const).flatMap((dialect) =>
    (["linear", "tree"] as const).map(
      (dispatch): TracedSubject => ({
        name: `${dialect} dialect, dispatch ${dispatch}`,
        style: dialect,
        crowded: dispatch === "tree",
        tracer({ plan, family, hostState }) {
          const rules = fullRuleSet(compileRules(plan, { dialect, family, dispatch }));
          return createTracer({ rules, hostState, plan });
        },
      }),
    ),
  ),
);
