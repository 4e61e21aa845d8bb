import { useState } from "preact/hooks";
import type { ServiceView } from "../model.ts";
import { type ComparedRow, compareElements, compareRules, type RowCell } from "./compare-rows.ts";
import { ScrollBox } from "./scroll-box.tsx";
import { Shown } from "./shown.tsx";
import { plural, timeOf } from "./words.ts";

/** The map elements and rules that carry a service out: of one host with their counters, of several beside each other. */
export function CarriedOut({ views }: { readonly views: readonly ServiceView[] }) {
  const elements = compareElements(views.map((view) => view.elements));
  const rules = compareRules(views.map((view) => view.rules));
  const hosts = views.map(({ host }) => host);
  const notes = views.flatMap(({ host, rulesNote }) =>
    rulesNote === undefined ? [] : [hosts.length > 1 ? `${host}: ${rulesNote}` : rulesNote],
  );
  return (
    <>
      {elements.length > 0 && <RowTable id="elements" thing="map element" place="Map" rows={elements} hosts={hosts} />}
      {rules.length === 0 && <h2>Rules</h2>}
      {rules.length > 0 && <RowTable id="rules" thing="rule" place="Chain" rows={rules} hosts={hosts} />}
      {views[0]?.readAt !== undefined && (
        <p class="quiet">As they were at {timeOf(views[0].readAt)}; they are read again while this page is open.</p>
      )}
      {notes.map((note) => (
        <p class="quiet" key={note}>
          {note}
        </p>
      ))}
    </>
  );
}

/** Rows that are listed at once. */
const SHOWN = 60;

interface RowTableProps {
  readonly id: string;
  readonly thing: string;
  /** What a row stands in. */
  readonly place: string;
  readonly rows: readonly ComparedRow[];
  readonly hosts: readonly string[];
}

function RowTable({ id, thing, place, rows, hosts }: RowTableProps) {
  const [showsAll, setShowsAll] = useState(false);
  const shown = showsAll ? rows : rows.slice(0, SHOWN);
  const differing = rows.filter(({ differs }) => differs).length;
  const counted = rows.some(({ cells }) => cells.some((cell) => cell?.packets !== undefined));
  const isNumbered = hosts.length === 1 && thing === "rule";
  const columns = hosts.length > 1 ? hosts : counted ? ["Packets", "Bytes"] : [];
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>
        {plural(rows.length, thing)}
        {hosts.length > 1 && (
          <span class="quiet"> · {differing === 0 ? "the same on all hosts" : `${differing} not on all hosts`}</span>
        )}
      </h2>
      <ScrollBox label={plural(rows.length, thing)}>
        <table class="carried">
          <thead>
            <tr>
              <th scope="col">{place}</th>
              {isNumbered && (
                <th scope="col" class="number">
                  No.
                </th>
              )}
              <th scope="col">{thing === "rule" ? "Rule" : "Element"}</th>
              {columns.map((column) => (
                <th scope="col" key={column} class={hosts.length > 1 ? "" : "number"}>
                  <Shown text={column} />
                </th>
              ))}
            </tr>
          </thead>
          {[...groupsOf(shown)].map((group) => (
            <tbody key={`${group[0]?.differs} ${group[0]?.place}`}>
              {group.map((row, index) => (
                <tr key={row.key} class={row.differs ? "differs" : ""}>
                  {index === 0 && (
                    <th scope="rowgroup" rowSpan={group.length}>
                      <Shown text={row.place} />
                    </th>
                  )}
                  {isNumbered && <td class="number quiet">{row.cells[0]?.number}</td>}
                  <td>
                    <code>
                      <Shown text={row.text} />
                    </code>
                    {row.comment !== undefined && <Shown class="quiet comment" text={row.comment} />}
                  </td>
                  {hosts.length > 1 ? <HostCells row={row} hosts={hosts} /> : counted && <Counters row={row} />}
                </tr>
              ))}
            </tbody>
          ))}
        </table>
      </ScrollBox>
      {rows.length > shown.length && (
        <button type="button" class="link" onClick={() => setShowsAll(true)}>
          Show all {rows.length}
        </button>
      )}
    </section>
  );
}

/** Rows of one place that follow each other. */
function groupsOf(rows: readonly ComparedRow[]): Iterable<readonly ComparedRow[]> {
  return Map.groupBy(rows, ({ place, differs }) => `${differs} ${place}`).values();
}

function Counters({ row: { cells } }: { readonly row: ComparedRow }) {
  const [counted] = cells;
  return (
    <>
      <td class="number">{counted?.packets?.toLocaleString("en-US") ?? ""}</td>
      <td class="number">{counted?.bytes?.toLocaleString("en-US") ?? ""}</td>
    </>
  );
}

function cellWords({ number, packets, isUnmet }: RowCell): string {
  const words = [
    ...(isUnmet === true ? ["not met"] : []),
    ...(number === undefined ? [] : [`rule ${number}`]),
    ...(packets === undefined ? [] : [plural(packets, "packet")]),
  ];
  return words.length === 0 ? "here" : words.join(", ");
}

function HostCells({ row: { cells }, hosts }: { readonly row: ComparedRow; readonly hosts: readonly string[] }) {
  return (
    <>
      {cells.map((cell, index) => (
        <td key={hosts[index]} class={cell === undefined ? "missing" : "there"}>
          {cell === undefined ? "✕ not here" : `● ${cellWords(cell)}`}
        </td>
      ))}
    </>
  );
}
