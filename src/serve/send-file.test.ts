import { expect, it } from "vitest";
import { rangesOf } from "./send-file.ts";

it("reads ranges as RFC 9110 has them", () => {
  const cases: readonly (readonly [
    string | undefined,
    readonly (readonly [number, number])[] | undefined,
  ])[] = [
    [undefined, undefined],
    ["bytes=0-9", [[0, 9]]],
    ["BYTES=90-", [[90, 99]]],
    ["bytes=-10", [[90, 99]]],
    ["bytes=-1000", [[0, 99]]],
    ["bytes=50-1000", [[50, 99]]],
    [
      "bytes=0-0, 50-51 ,-1",
      [
        [0, 0],
        [50, 51],
        [99, 99],
      ],
    ],
    // Those that lie outside are left out; where none is left, the file has no such range.
    ["bytes=0-1,100-", [[0, 1]]],
    ["bytes=100-", []],
    ["bytes=-0", []],
    // What makes no sense is not heeded.
    ["bytes=9-1", undefined],
    ["bytes=", undefined],
    ["bytes=-", undefined],
    ["bytes=a-b", undefined],
    ["bytes=1-2;3-4", undefined],
    ["lines=1-2", undefined],
    [`bytes=${Array.from({ length: 100 }, () => "0-").join()}`, undefined],
  ];
  for (const [header, wanted] of cases)
    expect(
      rangesOf(header, 100)?.map(({ start, end }) => [start, end]),
      header,
    ).toEqual(wanted);
});
