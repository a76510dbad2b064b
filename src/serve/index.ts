/** The server behind the studio: answers, evaluations and runs over HTTP. @module */

export { isLoopback, type ServeConfig, type ServeOptions, serveConfig } from "./serve-config.ts";
export { type RunningServer, startServer } from "./server.ts";
