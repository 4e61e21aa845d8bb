import { SCALAR_STYLE, type ScalarEvent } from "js-yaml";

/** Where a scalar starts in the text, its opening quote included; undefined for an empty one, which stands nowhere. */
export function scalarOffset({ style, valueStart }: ScalarEvent): number | undefined {
  if (valueStart < 0) return undefined;
  return style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED ? valueStart - 1 : valueStart;
}
