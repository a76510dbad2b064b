/** `node:os`, `node:module`, `node:child_process` and `node:worker_threads`: names that must be there and are never called. @module */

function absent(): never {
  throw new Error("there are no processes in a browser");
}

export const hostname = (): string => "browser";
export const homedir = (): string => "/home";
export const tmpdir = (): string => "/tmp";
export const availableParallelism = (): number => navigator.hardwareConcurrency;
export const createRequire = absent;
export const spawn = absent;
export const fork = absent;
export const execFile = absent;
export const Worker = absent;
export const parentPort = null;
export const workerData = null;
