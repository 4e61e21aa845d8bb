/**
 * 0 done; 1 failed; 2 wrong usage or bad input; 3 a difference or a broken promise was found.
 * `lab exec` and `lab capture` end as the command that they ran for the user: any number up to 255.
 */
export type ExitCode = number;
