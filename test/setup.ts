/**
 * Runs before every test file: property tests draw the same cases each time, so that a green commit stays green. Set
 * VANS_TEST_SEED to look for new ones.
 * @module
 */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["VANS_TEST_SEED"] ?? 20251) });
