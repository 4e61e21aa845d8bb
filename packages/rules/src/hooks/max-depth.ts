/** Chains that lead to each other are followed so far: more would overflow the stack. nftables takes 16. */
export const MAX_DEPTH = 256;
