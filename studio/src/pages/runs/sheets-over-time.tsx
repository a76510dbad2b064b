/** Sample sheets of a run, one at a time along a slider. @module */
import { useState } from "preact/hooks";
import type { Sheet } from "./run-api.ts";

export function SheetsOverTime({ sheets }: { readonly sheets: readonly Sheet[] }) {
  // Undefined: the newest, whatever comes.
  const [picked, setPicked] = useState<number>();
  const at = Math.min(picked ?? sheets.length - 1, sheets.length - 1);
  const sheet = sheets[at]!;
  return (
    <section class="answer" aria-labelledby="sheets">
      <h2 id="sheets">Samples over time</h2>
      <div class="toolbar">
        <label class="inline grow">
          Step {sheet.step}
          <input
            type="range"
            min={0}
            max={Math.max(1, sheets.length - 1)}
            disabled={sheets.length < 2}
            value={at}
            style={{ "--share": sheets.length > 1 ? at / (sheets.length - 1) : 1 }}
            aria-valuetext={`step ${sheet.step}`}
            onInput={(event) => setPicked(Number(event.currentTarget.value))}
          />
        </label>
        <a class="button small" href={sheet.url} target="_blank" rel="noreferrer">
          Whole picture
        </a>
      </div>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Samples at step ${sheet.step}`}>
        <img class="sheet" src={sheet.url} alt={`Samples that the model made at step ${sheet.step}`} />
      </div>
    </section>
  );
}
