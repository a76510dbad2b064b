/** Two handles on one line: where a clip begins and ends. @module */

/** Shortest clip, in seconds. */
const SHORTEST_SECS = 0.2;

export function TrimBar({
  length,
  start,
  end,
  onChange,
}: {
  readonly length: number;
  readonly start: number;
  readonly end: number;
  onChange(start: number, end: number, shown: number): void;
}) {
  return (
    <div class="trim" role="group" aria-label="Trim">
      <div class="rail" style={{ "--from": start / length, "--to": end / length }}>
        <input
          type="range"
          min={0}
          max={length}
          step={0.05}
          value={start}
          aria-label="Begin"
          aria-valuetext={`${start.toFixed(1)} seconds`}
          onInput={(event) => {
            const at = Math.max(0, Math.min(Number(event.currentTarget.value), end - SHORTEST_SECS));
            event.currentTarget.value = String(at);
            onChange(at, end, at);
          }}
        />
        <input
          type="range"
          min={0}
          max={length}
          step={0.05}
          value={end}
          aria-label="End"
          aria-valuetext={`${end.toFixed(1)} seconds`}
          onInput={(event) => {
            const at = Math.min(length, Math.max(Number(event.currentTarget.value), start + SHORTEST_SECS));
            event.currentTarget.value = String(at);
            onChange(start, at, at);
          }}
        />
      </div>
      <p class="row between muted small">
        <span>
          {start.toFixed(1)} – {end.toFixed(1)} s of {length.toFixed(1)} s
        </span>
        {(start > 0 || end < length) && (
          <button type="button" class="quiet small" onClick={() => onChange(0, length, 0)}>
            Whole clip
          </button>
        )}
      </p>
    </div>
  );
}
