import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Shown } from "./shown.tsx";

/** Pixels; every row has it, so that those out of sight need not be made. The style sheet has the same. */
const ROW_HEIGHT = 44;
/** Rows above and below what is seen. */
const SPARE = 8;
/** No window shows more; on paper, where nothing scrolls, what is shown would make room for more of them without end. */
const MOST_ROWS = 150;

interface Column {
  readonly name: string;
  /** In pixels, at least; what there is besides is shared out alike. */
  readonly width: number;
  readonly isNumber?: true;
}

interface VirtualRowsProps<T> {
  readonly label: string;
  readonly columns: readonly Column[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  /** One for each column. */
  readonly cells: (row: T) => readonly VNode[];
}

/** A table of which only the rows in sight are there: ten thousand scroll as well as ten. */
export function VirtualRows<T>({ label, columns, rows, keyOf, cells }: VirtualRowsProps<T>) {
  const box = useRef<HTMLElement>(null);
  const [{ top, height }, setView] = useState({ top: 0, height: 800 });
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const update = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(update);
    observer.observe(element);
    element.addEventListener("scroll", update, { passive: true });
    update();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", update);
    };
  }, []);
  const total = columns.reduce((sum, { width }) => sum + width, 0);
  const first = Math.max(0, Math.min(Math.floor(top / ROW_HEIGHT) - SPARE, rows.length - 1));
  const shown = rows.slice(first, first + Math.min(MOST_ROWS, Math.ceil(height / ROW_HEIGHT) + 2 * SPARE));
  return (
    // Whoever has no mouse scrolls it by the keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section class="rows" ref={box} tabIndex={0} aria-label={label}>
      <table aria-rowcount={rows.length + 1} style={{ minWidth: `${total}px` }}>
        <colgroup>
          {columns.map(({ name, width }) => (
            <col key={name} width={`${(100 * width) / total}%`} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map(({ name, isNumber }) => (
              <th scope="col" key={name} class={isNumber === true ? "number" : ""}>
                <Shown text={name} title={name} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <Space rows={first} columns={columns.length} />
          {shown.map((row, index) => (
            <tr key={keyOf(row)} aria-rowindex={first + index + 2}>
              {cells(row).map((cell, place) => (
                <td key={columns[place]?.name ?? place} class={columns[place]?.isNumber === true ? "number" : ""}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
          <Space rows={rows.length - first - shown.length} columns={columns.length} />
        </tbody>
      </table>
    </section>
  );
}

/** Stands for rows that are not there. */
function Space({ rows, columns }: { readonly rows: number; readonly columns: number }) {
  return (
    <tr class="space">
      <td colSpan={columns} style={{ height: `${Math.max(0, rows) * ROW_HEIGHT}px` }} />
    </tr>
  );
}
