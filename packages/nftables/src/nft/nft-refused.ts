import { EnvironmentError, type SvcproxyErrorOptions } from "@svcproxy/topology";

/** That nft did not carry a change out. */
export class NftRefused extends EnvironmentError {
  /** Whether the table is not as the change takes it to be: somebody else changed it, and it is to be read again. */
  readonly isMismatch: boolean;

  constructor(message: string, { isMismatch, ...options }: SvcproxyErrorOptions & { readonly isMismatch: boolean }) {
    super("NFT_REFUSED", message, options);
    this.isMismatch = isMismatch;
  }
}
