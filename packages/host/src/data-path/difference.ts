/** One thing that the machine does not have as it should be. */
export interface Difference {
  /** A word for programs, for instance `missing-chain`; each data path has its own. */
  readonly kind: string;
  /** Where, in the data path's own words, for instance `IPv4 nat KUBE-SVC-1`. */
  readonly place: string;
  /** A sentence for people. */
  readonly text: string;
}
