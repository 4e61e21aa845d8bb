import {
  type ConnectionQuestion,
  type Connections,
  type DataPath,
  type Machine,
  portsNamed,
  readTrackedConnections,
} from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import { UserspaceDataPath } from "@svcproxy/userspace";

export interface AgentConnectionsOptions {
  readonly machine: Machine;
  readonly dataPath: DataPath;
  /** The one in force. */
  readonly plan: () => HostPlan | undefined;
  readonly signal: AbortSignal;
}

/** Tells who is connected by what an agent serves; one question after the other, because each may walk all that the kernel tracks. */
export class AgentConnections {
  readonly #options: AgentConnectionsOptions;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: AgentConnectionsOptions) {
    this.#options = options;
  }

  /**
   * @returns undefined where no such service is in force
   * @throws MissingTool, EnvironmentError as `readTrackedConnections`
   */
  async ask(question: ConnectionQuestion): Promise<Connections | undefined> {
    const answer = this.#turn.then(() => this.#read(question));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #read(question: ConnectionQuestion): Promise<Connections | undefined> {
    const { machine, dataPath, plan: planInForce, signal } = this.#options;
    const plan = planInForce();
    if (plan === undefined || portsNamed(plan, question.service).length === 0) return undefined;
    if (dataPath instanceof UserspaceDataPath) return dataPath.connections(question);
    return readTrackedConnections(machine, { plan, question, signal });
  }
}
