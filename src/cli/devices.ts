/**
 * `vans devices`: what can compute here, and why the rest cannot.
 * @module
 */
import { cpus, totalmem } from "node:os";
import { Command } from "@commander-js/extra-typings";
import { interruptible } from "./interrupt.ts";

/** The command `devices`. */
export function devicesCommand() {
  return new Command("devices")
    .description("show which devices can run models here, each tried for real")
    .option("--json", "as JSON", false)
    .action(async ({ json }) => {
      const { probeDevices } = await import("../answer/devices.ts");
      await interruptible(async (signal) => {
        const devices = await probeDevices({ signal });
        const machine = {
          cores: cpus().length,
          cpu: cpus()[0]?.model.trim() ?? "unknown",
          memoryBytes: totalmem(),
          node: process.version,
          platform: `${process.platform}-${process.arch}`,
        };
        if (json) {
          console.log(JSON.stringify({ type: "devices", machine, devices }));
          return;
        }
        const memory = (machine.memoryBytes / 2 ** 30).toFixed(0);
        console.log(
          `${machine.cpu}, ${machine.cores} cores, ${memory} GiB, ${machine.platform}, node ${machine.node}\n`,
        );
        for (const report of devices) {
          const state = report.isUsable ? `usable, ${report.gigaflops} GFLOP/s in f32` : "not usable";
          console.log(`${report.device.padEnd(7)} ${state}`);
          for (const name of ["found", "why", "fix"] as const)
            if (report[name] !== undefined) console.log(`          ${`${name}:`.padEnd(7)}${report[name]}`);
        }
        console.log("\nChoose one with --device; auto takes the CPU for small suites, else the fastest.");
      });
    });
}
