import { type Cidr, type IpAddress, type Port, parseCidr, parseIpAddress, parsePort } from "../address.ts";
import { explainAddress } from "../explain-address.ts";
import type { FaultCode } from "../fault-code.ts";
import { type AddressRole, judgeAddress } from "../special-address.ts";
import type { SubjectPath } from "../subject-path.ts";
import type { Path } from "../text/fault-report.ts";
import { isMapping } from "../text/source-document.ts";
import type { ValueReader } from "../value-reader.ts";
import { numberHint, quote } from "../visible.ts";

type Mapping = Readonly<Record<string, unknown>>;

/**
 * A field of a Kubernetes object, read with Kubernetes' leniency: fields that nobody asks for may be anything, null is the
 * same as absent. What is asked for and has the wrong type is reported under its field path and counts as absent.
 */
export class Field {
  readonly value: unknown;
  readonly where: SubjectPath;
  readonly #root: SubjectPath;
  readonly #reader: ValueReader;

  private constructor(
    value: unknown,
    { where, root, reader }: { where: SubjectPath; root: SubjectPath; reader: ValueReader },
  ) {
    this.value = value ?? undefined;
    this.where = where;
    this.#root = root;
    this.#reader = reader;
  }

  /** The object itself; field paths start below it. */
  static root(value: unknown, { where, reader }: { where: SubjectPath; reader: ValueReader }): Field {
    return new Field(value, { where, root: where, reader });
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
    return typeof this.where.path.at(-1) === "number" ? "" : undefined;
  }

  /** An address as kube-proxy reads it: leading zeros are decimal, IPv4 in IPv6 is IPv4. */
  address(): IpAddress | undefined {
    const text = this.filledText();
    if (text === undefined) return undefined;
    const read = parseSloppyAddress(text);
    if (read === undefined)
      this.error("BAD_ADDRESS", `${quote(text)} is not an address`, explainAddress(text, "address"));
    else if (read.isSloppy) this.warning("SLOPPY_ADDRESS", `${quote(text)} is read as ${read.address}`);
    return read?.address;
  }

  /** Warns of an address that cannot be what it is given for, or hardly: the API server takes it, and so does kube-proxy. */
  judge(address: IpAddress, role: AddressRole): void {
    const finding = judgeAddress(address, role);
    if (finding !== undefined) this.warning("SPECIAL_ADDRESS", finding.reason, finding.hint);
  }

  error(code: FaultCode, reason: string, hint?: string): void {
    this.#reader.error(code, this.where, `${this.#prefix()}${reason}`, hint);
  }

  warning(code: FaultCode, reason: string, hint?: string): void {
    this.#reader.warning(code, this.where, `${this.#prefix()}${reason}`, hint);
  }

  /** Warns of the key itself, whatever stands under it. */
  warnOfKey(code: FaultCode, reason: string, hint?: string): void {
    const { where } = this;
    const message = `${this.#prefix()}${reason}`;
    this.#reader.warnOfKey(code, where, { reason: message, ...(hint === undefined ? {} : { hint }) });
  }

  /** The second use of what may be used once. */
  duplicate(code: FaultCode, { first, reason }: { first: Field; reason: string }): void {
    this.#reader.duplicateOf(code, this.where, {
      first: first.#reader.place(first.where),
      reason: `${this.#prefix()}${reason}`,
    });
  }

  /** Warns of the same object again. */
  warnAgain(code: FaultCode, { first, reason }: { readonly first: Field; readonly reason: string }): void {
    this.#reader.warnAgain(code, this.where, { first: first.#reader.place(first.where), reason });
  }

  #child(value: unknown, key: string | number): Field {
    return new Field(value, { where: this.where.at(key), root: this.#root, reader: this.#reader });
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
    const path = this.where.path.slice(this.#root.path.length);
    return path.length === 0 ? "" : `${formatFieldPath(path)}: `;
  }
}

/** As Kubernetes writes it: `spec.ports[0].nodePort`, `metadata.labels[app.kubernetes.io/name]`. */
function formatFieldPath(path: Path): string {
  return path
    .map((step, index) => {
      if (typeof step === "string" && /^[\w-]+$/.test(step)) return index === 0 ? step : `.${step}`;
      return `[${step}]`;
    })
    .join("");
}

/**
 * An address as Go's old parser read it, which Kubernetes keeps for objects that were stored long ago: octets may have leading
 * zeros and are decimal nevertheless; an IPv4 address in IPv6 form is that IPv4 address.
 *
 * @see k8s.io/utils/net, ParseIPSloppy
 */
export function parseSloppyAddress(text: string): { address: IpAddress; isSloppy: boolean } | undefined {
  const strict = parseIpAddress(text);
  const plain = strict === undefined ? parseIpAddress(withoutLeadingZeros(text)) : strict;
  if (plain === undefined) return undefined;
  const embedded = plain.startsWith("::ffff:") ? parseIpAddress(plain.slice("::ffff:".length)) : undefined;
  const address = embedded ?? plain;
  return { address, isSloppy: strict === undefined || embedded !== undefined };
}

/** The same for blocks: `203.0.113.000/025`. */
export function parseSloppyCidr(text: string): { cidr: Cidr; isSloppy: boolean } | undefined {
  const strict = text.includes("/") ? parseCidr(text) : undefined;
  if (strict !== undefined) return { cidr: strict, isSloppy: false };
  const [address = "", length = "", ...more] = text.split("/");
  if (more.length > 0 || !/^\d+$/.test(length)) return undefined;
  const cidr = parseCidr(`${withoutLeadingZeros(address)}/${Number(length)}`);
  return cidr === undefined ? undefined : { cidr, isSloppy: true };
}

function withoutLeadingZeros(text: string): string {
  return /^\d+(\.\d+){3}$/.test(text) ? text.replace(/(^|\.)0+(?=\d)/g, "$1") : text;
}
