import type { BranchJson, TraceJson } from "@svcproxy/rules";
import { useEffect, useRef } from "preact/hooks";
import { TraceDrawing } from "../picture/trace-drawing.tsx";
import { percent } from "../picture/trace-picture.ts";
import { ScrollBox } from "./scroll-box.tsx";
import { Shown } from "./shown.tsx";

/** Smaller than this part of its size the picture is not readable any more. */
const READABLE = 0.85;

/** A packet's ways: what becomes of it, as a picture, and in words. */
export function PacketWay({ trace }: { readonly trace: TraceJson }) {
  const way = useRef<HTMLElement>(null);
  // Where it dies is what is looked for: it may be far to the right.
  useEffect(() => {
    way.current
      ?.querySelector(".end.dropped, .end.refused, .end.lost, .end.undecided")
      ?.scrollIntoView({ inline: "end", block: "nearest" });
  }, [trace]);
  const json = `data:application/json;charset=utf-8,${encodeURIComponent(JSON.stringify(trace, null, 2))}`;
  return (
    <section aria-labelledby="way" ref={way}>
      <h2 id="way" class="visually-hidden">
        Its way
      </h2>
      <Verdict branches={trace.branches} />
      <ScrollBox label="Picture of the packet's way" class="drawing">
        <TraceDrawing trace={trace} shrinksTo={READABLE} />
      </ScrollBox>
      <details>
        <summary>The same in words</summary>
        <ol>
          {trace.branches.map((branch) => (
            <li key={JSON.stringify([branch.verdict, branch.destination, branch.because, branch.probability.fraction])}>
              <InWords branch={branch} />
            </li>
          ))}
        </ol>
      </details>
      <p>
        <a download="trace.json" href={json}>
          Save as JSON
        </a>{" "}
        <span class="quiet">(what svcproxy trace --json prints)</span>
      </p>
    </section>
  );
}

/** What becomes of it, the worst first: it is what the eye is to meet. */
function Verdict({ branches }: { readonly branches: readonly BranchJson[] }) {
  const lost = branches.filter(({ verdict, reply }) => isBad(verdict) || reply?.returns === false);
  if (lost.length === 0) return <Arrival branches={branches} />;
  return (
    <div role="alert">
      <ul class="verdict bad">
        {lost.map(({ verdict, because, probability, reply }) => (
          <li key={`${verdict} ${because} ${probability.fraction}`}>
            <span aria-hidden="true">✕</span> {probability.value < 1 ? `${percent(probability.value)}: ` : ""}
            {isBad(verdict) ? verdict : "the answer is lost"}:{" "}
            <Shown text={isBad(verdict) ? because : (reply?.because ?? "")} />
          </li>
        ))}
      </ul>
    </div>
  );
}

/** All of it arrives; of some the answer may be lost elsewhere. */
function Arrival({ branches }: { readonly branches: readonly BranchJson[] }) {
  const where = branches.length > 1 ? ` at one of ${branches.length} places` : "";
  const open = new Set(branches.flatMap(({ reply }) => (reply?.returns === null ? [reply.because] : [])));
  if (open.size === 0)
    return (
      <p class="verdict good">
        <span aria-hidden="true">●</span> It arrives{where}, and the answer comes back.
      </p>
    );
  return (
    <p class="verdict doubt">
      <span aria-hidden="true">?</span> It arrives{where}. Of the answer <Shown text={[...open].join("; ")} />.
    </p>
  );
}

function isBad(verdict: BranchJson["verdict"]): boolean {
  return verdict === "dropped" || verdict === "refused" || verdict === "undecided";
}

function InWords({ branch: { probability, verdict, because, steps, reply } }: { readonly branch: BranchJson }) {
  return (
    <>
      <p>
        {percent(probability.value)}: {verdict}, <Shown text={because} />
      </p>
      <ol>
        {steps.map((step) =>
          step.kind === "hook" ? (
            <li key={JSON.stringify(step)}>
              <b>{step.hook}</b>, from {step.source} to {step.destination}
            </li>
          ) : step.kind === "rule" && step.matched ? (
            <li key={JSON.stringify(step)}>
              <Shown text={`${step.table} ${step.chain} rule ${step.number}:`} />{" "}
              <code>
                <Shown text={step.rule} />
              </code>{" "}
              {step.changes?.join(", ")}
            </li>
          ) : step.kind === "note" ? (
            <li key={JSON.stringify(step)}>{step.text}</li>
          ) : null,
        )}
      </ol>
      {reply !== null && (
        <p>
          The answer: <Shown text={reply.because} />
        </p>
      )}
    </>
  );
}
