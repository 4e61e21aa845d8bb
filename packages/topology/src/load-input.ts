import { decodeText, fileFault } from "./decode-text.ts";
import { type Fault, InputError } from "./errors.ts";
import { type LoadedDocuments, loadDocuments } from "./load-documents.ts";
import type { InputFile, SourceDocument } from "./source-document.ts";

/**
 * The documents of all files as values, in the order of the files.
 *
 * @throws InputError with what is wrong with any of the files as text, or EMPTY_FILE where none has anything in it
 */
export function loadInput(files: readonly InputFile[]): LoadedDocuments {
  const documents: SourceDocument[] = [];
  const faults: Fault[] = [];
  const failures: Fault[] = [];
  for (const file of files) {
    try {
      const loaded = loadDocuments(decodeText(file));
      for (const document of loaded.documents) documents.push(document);
      for (const fault of loaded.faults) faults.push(fault);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      for (const fault of error.faults) failures.push(fault);
    }
  }
  const [failure, ...others] = failures;
  if (failure !== undefined) throw new InputError([failure, ...others]);
  if (documents.length === 0) {
    throw fileFault("EMPTY_FILE", files[0]?.file ?? "", "There is nothing in it, or only comments", {
      hint: "Start with `hosts:`; `svcproxy schema` prints the format",
    });
  }
  return { documents, faults };
}
