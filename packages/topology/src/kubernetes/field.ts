import type { IpAddress, Port } from "../address.ts";
import { parsePort } from "../address.ts";
import { explainAddress } from "../explain-address.ts";
import type { FaultCode } from "../fault-code.ts";
import type { Path } from "../fault-report.ts";
import { isMapping } from "../is-mapping.ts";
import { numberHint, quote } from "../quote.ts";
import { type AddressRole, judgeAddress } from "../special-address.ts";
import type { Spot } from "../spot.ts";
import type { ValueReader } from "../value-reader.ts";
import { parseSloppyAddress } from "./sloppy-address.ts";

type Mapping = Readonly<Record<string, unknown>>;

/**
 * A field of a Kubernetes object, read with Kubernetes' leniency: fields that nobody asks for may be anything, null is the
 * same as absent. What is asked for and has the wrong type is reported under its field path and counts as absent.
 */
export class Field {
  readonly value: unknown;
  readonly spot: Spot;
  readonly #root: Spot;
  readonly #reader: ValueReader;

  private constructor(value: unknown, { spot, root, reader }: { spot: Spot; root: Spot; reader: ValueReader }) {
    this.value = value ?? undefined;
    this.spot = spot;
    this.#root = root;
    this.#reader = reader;
  }

  /** The object itself; field paths start below it. */
  static root(value: unknown, { spot, reader }: { spot: Spot; reader: ValueReader }): Field {
    return new Field(value, { spot, root: spot, reader });
  }

  get isSet(): boolean {
    return this.value !== undefined;
  }

  get(key: string): Field {
    const mapping = this.#mapping();
    return this.#child(mapping !== undefined && Object.hasOwn(mapping, key) ? mapping[key] : undefined, key);
  }

  /** Follows several keys. */
  at(...keys: readonly string[]): Field {
    return keys.reduce<Field>((field, key) => field.get(key), this);
  }

  items(): readonly Field[] {
    if (this.value === undefined) return [];
    if (!Array.isArray(this.value)) {
      this.#wrongType("a list");
      return [];
    }
    return this.value.map((item: unknown, index) => this.#child(item, index));
  }

  /** Members of a mapping whose values are texts: labels, selectors. */
  texts(): ReadonlyMap<string, string> {
    const texts = new Map<string, string>();
    for (const key of Object.keys(this.#mapping() ?? {})) {
      const text = this.get(key).text();
      if (text !== undefined) texts.set(key, text);
    }
    return texts;
  }

  text(): string | undefined {
    if (this.value === undefined || typeof this.value === "string") return this.value;
    this.#wrongType("a text");
    return undefined;
  }

  flag(): boolean | undefined {
    if (this.value === undefined || typeof this.value === "boolean") return this.value;
    this.#wrongType("true or false");
    return undefined;
  }

  integer(): number | undefined {
    if (this.value === undefined) return undefined;
    if (typeof this.value === "number" && Number.isInteger(this.value)) return this.value;
    this.#wrongType("a whole number", typeof this.value === "string" ? numberHint(this.value) : undefined);
    return undefined;
  }

  /** One of the words; another one is reported and counts as absent. */
  word<Word extends string>(words: readonly Word[], code: FaultCode = "UNKNOWN_VALUE"): Word | undefined {
    const text = this.text();
    if (text === undefined || text === "") return undefined;
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) this.error(code, `${quote(text)} is not supported`, `Supported: ${words.join(", ")}`);
    return word;
  }

  /** A port; 0 is the same as none. */
  port(): Port | undefined {
    const value = this.integer();
    if (value === undefined || value === 0) return undefined;
    const port = parsePort(value);
    if (port === undefined) this.error("PORT_OUT_OF_RANGE", `${value} is not in 1–65535`);
    return port;
  }

  /** A text, where an empty one is the same as none, except in a list: Go leaves an empty field out, but no member. */
  filledText(): string | undefined {
    if (this.isSet && this.value !== "") return this.text();
    return typeof this.spot.path.at(-1) === "number" ? "" : undefined;
  }

  /** An address as kube-proxy reads it: leading zeros are decimal, IPv4 in IPv6 is IPv4. */
  address(): IpAddress | undefined {
    const text = this.filledText();
    if (text === undefined) return undefined;
    const read = parseSloppyAddress(text);
    if (read === undefined) this.error("BAD_ADDRESS", `${quote(text)} is no address`, explainAddress(text, "address"));
    else if (read.isSloppy) this.warning("SLOPPY_ADDRESS", `${quote(text)} is read as ${read.address}`);
    return read?.address;
  }

  /** Warns of an address that cannot be what it is given for, or hardly: the API server takes it, and so does kube-proxy. */
  judge(address: IpAddress, role: AddressRole): void {
    const finding = judgeAddress(address, role);
    if (finding !== undefined) this.warning("SPECIAL_ADDRESS", finding.reason, finding.hint);
  }

  error(code: FaultCode, reason: string, hint?: string): void {
    this.#reader.error(code, this.spot, `${this.#prefix()}${reason}`, hint);
  }

  warning(code: FaultCode, reason: string, hint?: string): void {
    this.#reader.warning(code, this.spot, `${this.#prefix()}${reason}`, hint);
  }

  /** Warns of the key itself, whatever stands under it. */
  warnOfKey(code: FaultCode, reason: string, hint?: string): void {
    const { spot } = this;
    const message = `${this.#prefix()}${reason}`;
    this.#reader.warnOfKey(code, spot, { reason: message, ...(hint === undefined ? {} : { hint }) });
  }

  /** The second use of what may be used once. */
  duplicate(code: FaultCode, { first, reason }: { first: Field; reason: string }): void {
    this.#reader.duplicateOf(code, this.spot, {
      first: first.#reader.place(first.spot),
      reason: `${this.#prefix()}${reason}`,
    });
  }

  /** Warns of the same object again. */
  warnAgain(code: FaultCode, { first, reason }: { readonly first: Field; readonly reason: string }): void {
    this.#reader.warnAgain(code, this.spot, { first: first.#reader.place(first.spot), reason });
  }

  #child(value: unknown, key: string | number): Field {
    return new Field(value, { spot: this.spot.at(key), root: this.#root, reader: this.#reader });
  }

  #mapping(): Mapping | undefined {
    if (isMapping(this.value)) return this.value;
    if (this.value !== undefined) this.#wrongType("a mapping");
    return undefined;
  }

  #wrongType(wanted: string, hint?: string): void {
    const text = JSON.stringify(this.value);
    this.error("WRONG_TYPE", `must be ${wanted}, not ${text.length > 60 ? `${text.slice(0, 60)}…` : text}`, hint);
  }

  #prefix(): string {
    const path = this.spot.path.slice(this.#root.path.length);
    return path.length === 0 ? "" : `${formatFieldPath(path)}: `;
  }
}

/** As Kubernetes writes it: `spec.ports[0].nodePort`, `metadata.labels[app.kubernetes.io/name]`. */
export function formatFieldPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === "string" && /^\w+$/.test(step)) return index === 0 ? step : `.${step}`;
      return `[${step}]`;
    })
    .join("");
}
