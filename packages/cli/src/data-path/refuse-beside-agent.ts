/**
 * Makes sure that no `svcproxy run` keeps this network namespace, which would undo at once what a one-shot command does beside it.
 *
 * @param doing what is to be done, for instance `apply`
 * @throws EnvironmentError ALREADY_RUNNING, with the agent's pid
 */
export async function refuseBesideAgent(doing: string): Promise<void> {
  const agent = await import("@svcproxy/agent");
  await agent.refuseBesideAgent(doing, "Change what it follows, which svcproxy status names, or stop it first");
}
