import type { ClientKind, Family } from "@svcproxy/topology";
import { useState } from "preact/hooks";
import type { PageConnections, PageService, ServiceView } from "../model.ts";
import { partOfView, partsOf } from "./part-of-view.ts";
import { ScrollBox } from "./scroll-box.tsx";
import { ServiceDrawing } from "./service-drawing.tsx";
import { Shown } from "./shown.tsx";

interface ServiceWaysProps {
  readonly view: ServiceView;
  readonly service: PageService;
  readonly connections: PageConnections | undefined;
}

const CLIENTS: readonly ClientKind[] = ["pod", "host", "outside"];
const CLIENT_WORDS: Readonly<Record<ClientKind, string>> = { pod: "a pod here", host: "this host", outside: "outside" };

/** Who answers whom, as a picture, for clients, a port and a family that can be chosen. */
export function ServiceWays({ view, service: { ports }, connections }: ServiceWaysProps) {
  const [client, setClient] = useState<ClientKind>("pod");
  const [wantedPort, setPort] = useState<string>();
  const [wantedFamily, setFamily] = useState<Family>();
  const { portNames, families } = partsOf(view);
  const portName = portNames.find((name) => name === wantedPort) ?? portNames[0];
  const family = families.find((one) => one === wantedFamily) ?? families[0];
  const portWords = (name: string) => {
    const port = ports.find((one) => one.name === name);
    return port === undefined ? name : `${name} ${port.port}/${port.protocol}`.trim();
  };
  return (
    <section aria-labelledby="ways">
      <h2 id="ways">Who answers</h2>
      <div class="choices">
        <Choice
          legend="Dialled from"
          all={CLIENTS}
          chosen={client}
          words={(kind) => CLIENT_WORDS[kind]}
          on={setClient}
        />
        {portNames.length > 1 && (
          <Choice legend="Port" all={portNames} chosen={portName} words={portWords} on={setPort} />
        )}
        {families.length > 1 && (
          <Choice legend="Family" all={families} chosen={family} words={(one) => `IPv${one}`} on={setFamily} />
        )}
      </div>
      {portName === undefined || family === undefined ? (
        <p class="quiet">It has no address that could be dialled.</p>
      ) : (
        <>
          <p class="quiet">Choose a line to follow a packet along it.</p>
          <ScrollBox label="Picture of the service">
            <ServiceDrawing view={partOfView(view, { portName, family })} client={client} connections={connections} />
          </ScrollBox>
        </>
      )}
    </section>
  );
}

interface ChoiceProps<T> {
  readonly legend: string;
  readonly all: readonly T[];
  readonly chosen: T | undefined;
  readonly words: (one: T) => string;
  readonly on: (one: T) => void;
}

function Choice<T extends string | number>({ legend, all, chosen, words, on }: ChoiceProps<T>) {
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      {all.map((one) => (
        <label key={one}>
          <input type="radio" name={legend} checked={one === chosen} onChange={() => on(one)} />{" "}
          <Shown text={words(one)} />
        </label>
      ))}
    </fieldset>
  );
}
