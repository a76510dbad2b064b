/** One sample: both clips in step, texts, and what is decided about it. @module */
import { useRef, useState } from "preact/hooks";
import { type Sample, TEXTS, type TextName } from "./dataset-api.ts";

const PICTURE = /\.(png|jpe?g|gif)$/i;

export interface SampleCardProps {
  readonly sample: Sample;
  /** The address of a clip of the dataset. */
  clip(file: string): string;
  onDecide(decision: {
    readonly rejected?: boolean;
    readonly note?: string;
    readonly fields?: Readonly<Partial<Record<TextName, string>>>;
  }): void;
}

export function SampleCard({ sample, clip, onDecide }: SampleCardProps) {
  const { row, override } = sample;
  const [isEditing, setEditing] = useState(false);
  const videos = useRef<HTMLDivElement>(null);
  const isRejected = override?.rejected ?? false;
  const textOf = (name: TextName): string => override?.fields[name] ?? row[name];

  const play = (): void => {
    const all = [...(videos.current?.querySelectorAll("video") ?? [])];
    const isPlaying = all.some((one) => !one.paused && !one.ended);
    for (const one of all) {
      if (isPlaying) one.pause();
      else {
        one.currentTime = 0;
        void one.play().catch(() => undefined);
      }
    }
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.closest("input, textarea, select")) {
      if (event.key === "Escape") setEditing(false);
      return;
    }
    if (event.key === "x") onDecide({ rejected: !isRejected });
    else if (event.key === "e") setEditing(true);
    else if (event.key === " " && !target.closest("button")) play();
    else return;
    event.preventDefault();
  };
  const save = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    onDecide({
      note: String(form.get("note") ?? ""),
      fields: Object.fromEntries(TEXTS.map((name) => [name, String(form.get(name) ?? "").trim()])),
    });
    setEditing(false);
  };
  return (
    <article
      class={`sample${isRejected ? " rejected" : ""}`}
      tabIndex={0}
      aria-label={`Sample ${row.id}${isRejected ? ", rejected" : ""}`}
      onKeyDown={onKey}
    >
      <div class="pair" ref={videos}>
        {(["input", "output"] as const).map((which) => (
          <figure key={which}>
            {PICTURE.test(row[which]) ? (
              <img class="video" src={clip(row[which])} alt={`${which} of ${row.id}`} loading="lazy" />
            ) : (
              <video
                class="video"
                src={clip(row[which])}
                muted
                playsInline
                preload="metadata"
                aria-label={`${which} of ${row.id}`}
                onClick={play}
              />
            )}
            <figcaption>{which}</figcaption>
          </figure>
        ))}
      </div>
      {isEditing ? (
        <form class="composer" onSubmit={save}>
          {TEXTS.map((name, at) => (
            <label key={name}>
              {name}
              <textarea
                name={name}
                required
                rows={name === "reasoning" ? 3 : 2}
                defaultValue={textOf(name)}
                ref={(element) => {
                  if (at === 0 && element && document.activeElement?.tagName !== "TEXTAREA") element.focus();
                }}
              />
            </label>
          ))}
          <label>
            note
            <input name="note" maxLength={1000} defaultValue={override?.note ?? ""} />
          </label>
          <div class="row">
            <button type="submit" class="primary">
              Keep these texts
            </button>
            <button type="button" class="quiet" onClick={() => setEditing(false)}>
              Leave them
            </button>
          </div>
        </form>
      ) : (
        <div class="said">
          <p class="strong">{textOf("question")}</p>
          <p class="muted small">{textOf("reasoning")}</p>
          <p>{textOf("caption")}</p>
          {override?.note && <p class="note">{override.note}</p>}
        </div>
      )}
      <div class="row between">
        <span class="muted small">
          {row.kind} · {row.family ?? row.source} · {row.split}
          {override && !isRejected && " · mended"}
        </span>
        <span class="row">
          {!isEditing && (
            <button type="button" class="quiet small" onClick={() => setEditing(true)}>
              Mend<span class="sr"> the texts of {row.id}</span>
            </button>
          )}
          <button
            type="button"
            class="small"
            aria-pressed={isRejected}
            onClick={() => onDecide({ rejected: !isRejected })}
          >
            {isRejected ? "Rejected" : "Reject"}
            <span class="sr"> {row.id}</span>
          </button>
        </span>
      </div>
    </article>
  );
}
