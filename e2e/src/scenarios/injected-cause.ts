import type { DataPath } from "../data-paths.ts";

/** A fault to make on a host, and what the doctor is to call it. */
export interface InjectedCause {
  readonly name: string;
  /** The host on which it is made; the doctor always looks on cloudos1. */
  readonly on: "cloudos1" | "cloudos2";
  readonly inject: string;
  readonly undo: string;
  readonly code: string;
  /** Something that its evidence has to say. */
  readonly evidence: RegExp;
  /** Whether the doctor needs a snapshot of the other host. */
  readonly needsPeer?: true;
  /** Whether the commands that it prints mend it by themselves. */
  readonly heals: boolean;
  /** Data paths that it concerns; default all. */
  readonly concerns?: (dataPath: DataPath) => boolean;
  /** Played on every data path that it concerns; the rest stands for all on some. */
  readonly isBrief?: true;
  /** The check does not ask what serves: it is played on one of the data paths on which all are played, and where a program of the host serves. */
  readonly isAnywhere?: true;
}

/** Data paths that pass packets on by rules. */
export const byRules = ({ name }: DataPath): boolean => name !== "userspace";
