/**
 * The device of a page is chosen before the library is asked. Takes the place of src/answer/devices.ts, which tries
 * devices in processes of their own.
 * @module
 */
import type { DeviceChoice } from "../../src/answer/devices.ts";

export const DEVICE_CHOICES = ["auto", "cpu", "webgpu", "cuda"] as const;
export type { DeviceChoice };

export const chooseDevice = async (choice: DeviceChoice): Promise<string> =>
  choice === "auto" ? "cpu" : choice;

export const probeDevice = async (): Promise<never> => {
  throw new Error("devices are not tried in a browser");
};
export const probeDevices = probeDevice;
