import type { ComponentChildren } from "preact";
import type { PageConnection, PageConnections, PageState } from "../model.ts";
import { ScrollBox } from "./scroll-box.tsx";
import { Shown } from "./shown.tsx";
import { nameOfAddress, plural } from "./words.ts";

interface ConnectionListProps {
  readonly connections: PageConnections;
  readonly state: PageState;
}

/** Who is connected to a service now. */
export function ConnectionList({ connections: { connections, untold, note }, state }: ConnectionListProps) {
  const total = connections.length + untold;
  const shown = COLUMNS.filter(({ isKnown }) => isKnown === undefined || connections.some(isKnown));
  return (
    <section aria-labelledby="connected">
      <h2 id="connected">{total === 0 ? "Nobody is connected" : `${plural(total, "connection")} now`}</h2>
      {connections.length > 0 && (
        <ScrollBox label="Connections">
          <table>
            <thead>
              <tr>
                {shown.map(({ name, isNumber }) => (
                  <th scope="col" key={name} class={isNumber === true ? "number" : ""}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {connections.map((connection) => (
                <tr key={`${connection.protocol} ${connection.client} ${connection.frontend}`}>
                  {shown.map(({ name, isNumber, cell }) => (
                    <td key={name} class={isNumber === true ? "number" : ""}>
                      {cell(connection, state)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
      {untold > 0 && <p class="quiet">and {untold.toLocaleString("en-US")} more</p>}
      {note !== undefined && total > 0 && <p class="quiet">{note}</p>}
    </section>
  );
}

interface Column {
  readonly name: string;
  readonly isNumber?: true;
  /** Of a column that is left out where it has nothing to tell. */
  readonly isKnown?: (connection: PageConnection) => boolean;
  readonly cell: (connection: PageConnection, state: PageState) => ComponentChildren;
}

const COLUMNS: readonly Column[] = [
  {
    name: "Client",
    cell: ({ client }, state) => (
      <>
        <code>{client}</code> <Shown class="quiet" text={nameOfAddress(state, addressOf(client))} />
      </>
    ),
  },
  { name: "Dialled", cell: ({ frontend }) => <code>{frontend}</code> },
  {
    name: "Endpoint",
    cell: ({ endpoint }, state) => (
      <>
        <code>{endpoint}</code> <Shown class="quiet" text={nameOfAddress(state, addressOf(endpoint))} />
      </>
    ),
  },
  { name: "State", cell: ({ state, protocol }) => state ?? protocol },
  {
    name: "Age",
    isNumber: true,
    isKnown: ({ ageSeconds }) => ageSeconds !== undefined,
    cell: ({ ageSeconds }) => (ageSeconds === undefined ? "" : ageWords(ageSeconds)),
  },
  {
    name: "Bytes",
    isNumber: true,
    isKnown: ({ bytes }) => bytes !== undefined,
    cell: ({ bytes }) => bytes?.toLocaleString("en-US") ?? "",
  },
];

function addressOf(end: string): string {
  return end.replace(/:\d+$/, "").replace(/[[\]]/g, "");
}

/** `42 s`, `3 min 5 s`, `2 h 10 min` */
function ageWords(seconds: number): string {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
