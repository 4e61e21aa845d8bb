// In a module of its own because only who reads Kubernetes objects loads it.
export { parseProxyConfiguration, readKubernetesDocuments } from "@svcproxy/topology";
