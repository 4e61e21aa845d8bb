import { render } from "preact";
import { LocalData } from "../engine/local-data.ts";
import type { Viewed } from "../engine/viewed.ts";
import { App } from "./app.tsx";

/** A page that was exported carries what it shows, as gzip in base64. */
async function readViewed(): Promise<Viewed> {
  const packed = document.getElementById("viewed")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed.trim()), (character) => character.charCodeAt(0));
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
  return text.json();
}

readViewed().then(
  (viewed) => render(<App data={new LocalData(viewed)} exportedAt={viewed.takenAt} />, document.body),
  () =>
    render(
      <p class="broken">What this page shows is damaged: it was cut off, or changed. Export it again.</p>,
      document.body,
    ),
);
