import { useState } from "preact/hooks";
import type { PageProblem } from "../model.ts";
import { linkTo } from "./route.ts";
import { Shown } from "./shown.tsx";
import { plural } from "./words.ts";

/** So many are shown until somebody asks for all. */
const SHOWN = 3;

/** What is wrong, with what was seen and how to mend it. */
export function ProblemList({ problems }: { readonly problems: readonly PageProblem[] }) {
  const [showsAll, setShowsAll] = useState(false);
  if (problems.length === 0) return null;
  const shown = showsAll ? problems : problems.slice(0, SHOWN);
  const errors = problems.filter(({ severity }) => severity === "error").length;
  return (
    <section class="problems" aria-labelledby="problems">
      <h2 id="problems">
        {plural(problems.length, "problem")}
        {errors > 0 && errors < problems.length ? `, ${plural(errors, "error")}` : ""}
      </h2>
      <ul>
        {shown.map((problem) => (
          <Problem key={`${problem.host ?? ""} ${problem.code} ${problem.subject} ${problem.text}`} problem={problem} />
        ))}
      </ul>
      {problems.length > SHOWN && (
        <button type="button" class="link" aria-expanded={showsAll} onClick={() => setShowsAll(!showsAll)}>
          {showsAll ? "Show fewer" : `Show all ${problems.length}`}
        </button>
      )}
    </section>
  );
}

function Problem({ problem }: { readonly problem: PageProblem }) {
  const { severity, host, text, hint, evidence = [], remedy = [], packet, code } = problem;
  return (
    <li class={severity}>
      <p class="what">
        <span aria-hidden="true">{severity === "error" ? "✕" : "▲"}</span>{" "}
        <span class="visually-hidden">{severity}: </span>
        {host !== undefined && (
          <>
            <Shown class="at" text={host} />{" "}
          </>
        )}
        <Shown text={text} /> <ServiceLinks ids={servicesOf(problem)} />
      </p>
      {evidence.length > 0 && (
        <ul class="evidence" aria-label="Evidence">
          {evidence.map((part) => (
            <li key={part}>
              <Shown text={part} />
            </li>
          ))}
        </ul>
      )}
      <p class="more">
        {hint !== undefined && (
          <>
            To mend it: <Shown text={hint} />{" "}
          </>
        )}
        {packet !== undefined && (
          <>
            <a href={linkTo({ kind: "packet", packet })}>Follow the packet</a>{" "}
          </>
        )}
        <span class="quiet">{code}</span>
      </p>
      {remedy.map((command) => (
        <pre key={command}>
          <Shown text={command} />
        </pre>
      ))}
    </li>
  );
}

/** Those that it is about, as `namespace/name`. */
export function servicesOf({ services, subject }: PageProblem): readonly string[] {
  const named = /^service (\S+\/\S+)$/.exec(subject)?.[1];
  return services ?? (named === undefined ? [] : [named]);
}

/** So many services are named. */
const NAMED = 4;

function ServiceLinks({ ids }: { readonly ids: readonly string[] }) {
  const more = ids.length - NAMED;
  return (
    <>
      {ids.slice(0, NAMED).map((id) => (
        <span key={id}>
          <a href={linkTo({ kind: "service", id })}>
            <Shown text={id} />
          </a>{" "}
        </span>
      ))}
      {more > 0 && `and ${more.toLocaleString("en-US")} more`}
    </>
  );
}
