import { render } from "preact";
import { App } from "./app.tsx";
import { RemoteData } from "./remote-data.ts";

render(<App data={new RemoteData()} />, document.body);
