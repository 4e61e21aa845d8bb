/** What a code means, and what to do; each a sentence or two. */
export interface Meaning {
  readonly means: string;
  readonly remedy: string;
}

/** The same of what is found on a host, with what it rests on. */
export interface Explanation extends Meaning {
  readonly evidence: string;
}
