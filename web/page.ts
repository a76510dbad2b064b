const w = new Worker(new URL("./answer-worker.ts", import.meta.url), {type:"module"});
(globalThis as any).w = w;
