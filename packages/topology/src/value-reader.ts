import {
  type Cidr,
  cidrOf,
  type Family,
  familyOf,
  type IpAddress,
  type Port,
  parseCidr,
  parseIpAddress,
  parsePort,
  parseSocketAddress,
  type SocketAddress,
} from "./address.ts";
import { explainAddress } from "./explain-address.ts";
import type { FaultCode } from "./fault-code.ts";
import { type AddressRole, judgeAddress } from "./special-address.ts";
import type { SubjectPath } from "./subject-path.ts";
import type { DocumentPath, FaultReport } from "./text/fault-report.ts";
import type { SourceDocument } from "./text/source-document.ts";
import { quote } from "./visible.ts";

/** Reads what the texts and numbers of one document mean; what cannot be read is reported and comes out undefined. */
export class ValueReader {
  readonly document: SourceDocument;
  readonly report: FaultReport;

  constructor(document: SourceDocument, report: FaultReport) {
    this.document = document;
    this.report = report;
  }

  place({ path }: SubjectPath): DocumentPath {
    return { document: this.document, path };
  }

  error(code: FaultCode, where: SubjectPath, reason: string, hint?: string): void {
    this.report.error(code, this.place(where), `Cannot read ${where.subject}: ${reason}`, hint);
  }

  warning(code: FaultCode, where: SubjectPath, reason: string, hint?: string): void {
    this.report.warning(code, this.place(where), `${capitalize(where.subject)}: ${reason}`, hint);
  }

  /** At the key, where the value under it is not to blame. */
  warnOfKey(
    code: FaultCode,
    where: SubjectPath,
    { reason, hint }: { readonly reason: string; readonly hint?: string },
  ): void {
    const place: DocumentPath = { ...this.place(where), atKey: true };
    this.report.warning(code, place, `${capitalize(where.subject)}: ${reason}`, hint);
  }

  /** A second use of what may be used once; `first` is where it stands already. */
  duplicate(code: FaultCode, where: SubjectPath, { first, reason }: { first: SubjectPath; reason: string }): void {
    this.duplicateOf(code, where, { first: this.place(first), reason });
  }

  /** The same, where the first may be in another document. */
  duplicateOf(code: FaultCode, where: SubjectPath, { first, reason }: { first: DocumentPath; reason: string }): void {
    const message = `Cannot read ${where.subject}: ${reason}`;
    this.report.errorAgain(code, this.place(where), { first, message });
  }

  warnAgain(code: FaultCode, where: SubjectPath, { first, reason }: { first: DocumentPath; reason: string }): void {
    const message = `${capitalize(where.subject)}: ${reason}`;
    this.report.warningAgain(code, this.place(where), { first, message });
  }

  address(text: string, where: SubjectPath): IpAddress | undefined {
    const address = parseIpAddress(text);
    if (address !== undefined && !isMappedIpv4(address)) return address;
    this.error("BAD_ADDRESS", where, `${quote(text)} is not an address`, explainAddress(text, "address"));
    return undefined;
  }

  /** Reports an address that cannot be what it is given for, or hardly. @returns whether it can */
  judge(address: IpAddress, role: AddressRole, where: SubjectPath): boolean {
    const finding = judgeAddress(address, role);
    if (finding === undefined) return true;
    const { severity, reason, hint } = finding;
    this[severity]("SPECIAL_ADDRESS", where, reason, hint);
    return severity === "warning";
  }

  cidr(text: string, where: SubjectPath): Cidr | undefined {
    const cidr = text.includes("/") ? parseCidr(text) : undefined;
    if (cidr !== undefined && !isMappedIpv4(cidr.address)) return cidr;
    this.error("BAD_CIDR", where, `${quote(text)} is not a block of addresses`, explainAddress(text, "cidr"));
    return undefined;
  }

  /** `ip:port`, or an address alone. */
  podAddress(text: string, where: SubjectPath): { readonly address: IpAddress; readonly port?: Port } | undefined {
    const read: SocketAddress | { address: IpAddress } | undefined = parseSocketAddress(text) ?? bareAddress(text);
    if (read !== undefined && !isMappedIpv4(read.address)) return read;
    this.#badSocketAddress(text, where);
    return undefined;
  }

  port(value: number, where: SubjectPath, key = "port"): Port | undefined {
    const port = parsePort(value);
    if (port === undefined) {
      const reason = value > 65535 ? "above 65535" : "below 1";
      this.error("PORT_OUT_OF_RANGE", where, `${key} ${value} is ${reason}`, "Use a port from 1 to 65535");
    }
    return port;
  }

  /** A whole number from `from` to `to`. */
  number(
    value: number,
    where: SubjectPath,
    { key, from, to }: { key: string; from: number; to: number },
  ): number | undefined {
    if (value >= from && value <= to) return value;
    this.error("NUMBER_OUT_OF_RANGE", where, `${key} ${value} is not in ${from}–${to}`);
    return undefined;
  }

  /** At most one of a family; a second one is reported and left out. */
  onePerFamily<Value>(
    items: readonly Found<Value>[],
    addressOf: (value: Value) => IpAddress,
    what: string,
  ): readonly Found<Value>[] {
    const families = new Set<Family>();
    return items.filter(({ value, where }) => {
      const family = familyOf(addressOf(value));
      if (families.has(family)) {
        this.error("FAMILY_TWICE", where, `a second IPv${family} ${what}, where there can be one a family`);
        return false;
      }
      families.add(family);
      return true;
    });
  }

  #badSocketAddress(text: string, where: SubjectPath): void {
    const port = /^(?:\[[^\]]*\]|[^:]*):(-?\d+)$/.exec(text)?.[1];
    const host = text.slice(0, text.lastIndexOf(":")).replace(/^\[|\]$/g, "");
    if (port !== undefined && parsePort(Number(port)) === undefined && parseIpAddress(host) !== undefined) {
      this.port(Number(port), where);
      return;
    }
    this.error("BAD_ADDRESS", where, `${quote(text)} is not an ip:port`, explainAddress(text, "socket address"));
  }
}

/** A value with the place it came from. */
export interface Found<Value> {
  readonly value: Value;
  readonly where: SubjectPath;
}

/** A block of one for a bare address, as nodePortAddresses and source ranges have it. */
export function singleAddress(address: IpAddress): Cidr {
  return cidrOf(address, familyOf(address) === 4 ? 32 : 128);
}

/** IPv4 in IPv6 form: no packet on the wire has it, so rules for it would never match. */
export function isMappedIpv4(address: IpAddress): boolean {
  return address.startsWith("::ffff:") && address.includes(".");
}

function bareAddress(text: string): { address: IpAddress } | undefined {
  const address = parseIpAddress(text);
  return address === undefined ? undefined : { address };
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
