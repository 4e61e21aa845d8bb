import { useState } from "preact/hooks";
import type { PageProblem } from "../model.ts";
import { linkTo } from "./route.ts";
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

function Problem({
  problem: { severity, host, subject, text, hint, evidence = [], code },
}: {
  readonly problem: PageProblem;
}) {
  const service = /^service (\S+\/\S+)$/.exec(subject)?.[1];
  return (
    <li class={severity}>
      <p class="what">
        <span aria-hidden="true">{severity === "error" ? "✕" : "▲"}</span>
        <span class="visually-hidden">{severity}: </span>
        {host !== undefined && <b>{host}: </b>}
        <bdi>{text}</bdi>
        {service !== undefined && (
          <>
            {" "}
            <a href={linkTo({ kind: "service", id: service })}>
              <bdi>{service}</bdi>
            </a>
          </>
        )}
      </p>
      <p class="more">
        {hint !== undefined && (
          <>
            To mend it: <bdi>{hint}</bdi>.{" "}
          </>
        )}
        <span class="quiet">
          {[...evidence, code].map((part) => (
            <bdi key={part}>{part} </bdi>
          ))}
        </span>
      </p>
    </li>
  );
}
