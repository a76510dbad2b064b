import { describe, expect, it } from "vitest";
import { throwIfAborted } from "./abort.ts";
import { internalError, isVansError, VansError } from "./errors.ts";

describe("VansError", () => {
  const error = new VansError("VANS_CLIP_SHORT", "the clip is too short", {
    asked: "21 frames",
    found: "3 frames",
    why: "the file was cut",
    fix: "give a longer clip",
    data: { frames: 3 },
    cause: new Error("underneath"),
  });

  it("says what was asked, what was found, why, and what to do", () => {
    expect(error.message).toMatchInlineSnapshot(`
      "the clip is too short
        asked: 21 frames
        found: 3 frames
        why:   the file was cut
        fix:   give a longer clip"
    `);
    expect(new VansError("VANS_X", "short").message).toBe("short");
  });

  it("keeps its code, its parts and its cause", () => {
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("VansError");
    expect(error.code).toBe("VANS_CLIP_SHORT");
    expect(error.details.found).toBe("3 frames");
    expect((error.cause as Error).message).toBe("underneath");
  });

  it("is plain data for --json: one line of message, the fields beside it", () => {
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: "VANS_CLIP_SHORT",
      message: "the clip is too short",
      asked: "21 frames",
      found: "3 frames",
      why: "the file was cut",
      fix: "give a longer clip",
      frames: 3,
    });
  });

  it("is recognised by name, also from another copy of the package", () => {
    class VansErrorOfAnotherCopy extends Error {
      override readonly name = "VansError";
      readonly code = "VANS_X";
    }
    expect(isVansError(new VansErrorOfAnotherCopy())).toBe(true);
    expect(isVansError(error, "VANS_CLIP_SHORT")).toBe(true);
    expect(isVansError(error, "VANS_X")).toBe(false);
    expect(isVansError(new Error("VansError"))).toBe(false);
    expect(isVansError("VANS_X")).toBe(false);
    expect(isVansError(undefined)).toBe(false);
  });

  it("of our own bugs says so", () => {
    expect(internalError("unreachable")).toMatchObject({
      code: "VANS_INTERNAL_BUG",
      message: expect.stringMatching(/^internal: unreachable\n {2}fix: .*report/),
    });
  });
});

describe("throwIfAborted", () => {
  it("does nothing without a signal, or before it is triggered", () => {
    throwIfAborted(undefined);
    throwIfAborted(new AbortController().signal);
  });

  it("throws with the reason as the cause", () => {
    const reason = new Error("Ctrl-C");
    expect(() => throwIfAborted(AbortSignal.abort(reason))).toThrow(
      expect.objectContaining({ code: "VANS_RUN_ABORTED", cause: reason }),
    );
    expect(() => throwIfAborted(AbortSignal.abort("text"))).toThrow(
      expect.objectContaining({ code: "VANS_RUN_ABORTED" }),
    );
  });
});
