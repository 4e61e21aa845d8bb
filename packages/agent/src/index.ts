export { queryInstance } from "@svcproxy/userspace";
export { Agent } from "./agent.ts";
export type { AgentOptions } from "./agent-options.ts";
export * from "./agent-status.ts";
export { EtcdClient } from "./etcd/client/etcd-client.ts";
export { type EtcdFlags, type EtcdSettings, readEtcdSettings } from "./etcd/client/etcd-settings.ts";
export { getEntries } from "./etcd/put/get-entries.ts";
export { type EntryChange, type PutPlan, removedServices } from "./etcd/put/plan-put.ts";
export { EntryWriter, type PreparedPut, type PutResult } from "./etcd/put/put-entries.ts";
export { readEtcdTopology } from "./etcd/read-etcd.ts";
export { drainEndpoint, type EndpointName, undrainEndpoint } from "./etcd/register/drain.ts";
export { type Check, parseCheck } from "./etcd/register/parse-check.ts";
export { Registration, type RegistrationOptions } from "./etcd/register/registration.ts";
export { EtcdSource, type EtcdSourceOptions } from "./etcd/source/etcd-source.ts";
export { StatusKeeper } from "./etcd/status-keeper.ts";
export { FileSource, type FileSourceOptions } from "./files/file-source.ts";
export { ServiceCounterReader, type ServiceCounters } from "./host/counters/service-counters.ts";
export { HostAgent } from "./host/host-agent.ts";
export type { HostAgentOptions } from "./host/host-agent-options.ts";
export { type HostAgentStatus, isHostAgentStatus } from "./host/host-agent-status.ts";
export type { AgentRules } from "./host/pages/agent-rules.ts";
export { portsOf, renderHostAgentStatus } from "./host/pages/render-host-agent-status.ts";
export { type ToldTopology, topologyOf } from "./host/pages/told-topology.ts";
export {
  groupId,
  isAgentRunning,
  lastGoodPath,
  lockHost,
  refuseBesideAgent,
  SUCCEEDED_SIGNAL,
} from "./host/place/agent-place.ts";
export { askAgent } from "./host/place/ask-agent.ts";
export { setOomScore } from "./host/process/oom-score.ts";
export { keepHeapSmall } from "./host/process/tune-v8.ts";
export type { ServiceDetail } from "./host/service-book.ts";
export { type GiveBackOptions, giveBack } from "./kube-proxy/give-back.ts";
export { ApiClient } from "./kubernetes/api-client.ts";
export { KubernetesSource, type KubernetesSourceOptions } from "./kubernetes/kubernetes-source.ts";
export { listCluster } from "./kubernetes/list-cluster.ts";
export { loadClusterAccess } from "./kubernetes/load-cluster-access.ts";
export * from "./observe/metric-family.ts";
export * from "./source.ts";
export { renderUnit } from "./systemd/render-unit.ts";
export { connectServiceManager, type ServiceManager } from "./systemd/service-manager.ts";
export { renderUserspaceStatus } from "./userspace/render-userspace-status.ts";
export { UserspaceAgent, type UserspaceAgentOptions } from "./userspace/userspace-agent.ts";
export { isUserspaceStatus, type UserspaceStatus } from "./userspace/userspace-status.ts";
