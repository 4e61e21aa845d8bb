/** 0 done; 1 failed; 2 wrong usage or bad input; 3 a difference or a broken promise was found. */
export type ExitCode = 0 | 1 | 2 | 3;
