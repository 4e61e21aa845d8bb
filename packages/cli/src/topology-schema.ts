export { topologySchema } from "@svcproxy/topology";
