/** Answers of several systems to one question on one timeline, with what differs. @module */
import { useEffect, useState } from "preact/hooks";
import type { PreviewStrip } from "../../api.ts";
import { type Answer, call, follow, isFinal } from "../../api.ts";
import { linkTo } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { difference, type Frames, framesOf, motion } from "../../parts/frames.ts";
import { Icon } from "../../parts/icons.tsx";
import { total } from "../../parts/live-answer.tsx";
import { SyncedVideos } from "../../parts/synced-videos.tsx";
import { nameOf } from "./ask-several.tsx";

export function Comparison({ group }: { readonly group: string }) {
  const [answers, setAnswers] = useState<readonly Answer[]>();
  const [strips, setStrips] = useState<Readonly<Record<string, PreviewStrip>>>({});
  const [steps, setSteps] = useState<Readonly<Record<string, string>>>({});
  const [frames, setFrames] = useState<Readonly<Record<string, Frames>>>({});
  const [reference, setReference] = useState<string>();
  const [isDifference, setDifference] = useState(false);
  const [error, setError] = useState<unknown>();

  useEffect(() => {
    const stops: (() => void)[] = [];
    let isGone = false;
    call<{ answers: Answer[] }>("GET", `/answers?group=${encodeURIComponent(group)}&limit=50`).then(
      ({ answers: found }) => {
        if (isGone) return;
        setAnswers([...found].reverse());
        for (const answer of found)
          if (!isFinal(answer))
            stops.push(
              follow(answer.id, {
                state: (now) => setAnswers((before) => before?.map((one) => (one.id === now.id ? now : one))),
                step: ({ step, steps: of, preview }) => {
                  setSteps((before) => ({ ...before, [answer.id]: `step ${step} of ${of}` }));
                  if (preview) setStrips((before) => ({ ...before, [answer.id]: preview }));
                },
              }),
            );
      },
      (failure: unknown) => setError(failure),
    );
    return () => {
      isGone = true;
      for (const stop of stops) stop();
    };
  }, [group]);

  const done = (answers ?? []).filter(({ result }) => result);
  const doneIds = done.map(({ id }) => id).join();
  useEffect(() => {
    const gone = new AbortController();
    void (async () => {
      for (const { id, result } of done) {
        if (frames[id] || !result) continue;
        const read = await framesOf(result.files.answer[0]!, result.frameRateHz, gone.signal).catch(
          () => undefined,
        );
        if (gone.signal.aborted) return;
        if (read) setFrames((before) => ({ ...before, [id]: read }));
      }
    })();
    return () => gone.abort();
  }, [doneIds]);

  if (error !== undefined) return <Failure error={error} />;
  if (!answers) return <p class="muted">Looking for the answers …</p>;
  const first = answers[0];
  if (!first)
    return (
      <div class="welcome">
        <p class="big">There is no such comparison here.</p>
        <p>
          <a class="button" {...linkTo("/compare")}>
            Begin one
          </a>
        </p>
      </div>
    );
  const base = reference ?? done[0]?.id;
  const baseFrames = base === undefined ? undefined : frames[base];
  const between = new Map(
    done.map(({ id }) => {
      const own = frames[id];
      return [id, own && baseFrames && id !== base ? difference(own, baseFrames) : undefined] as const;
    }),
  );
  const most = Math.max(1, ...[...between.values()].flatMap((value) => value?.byFrame ?? []));
  const input = done[0]?.result?.files.input;
  return (
    <article class="answer">
      <header class="asked">
        <h2>{first.request.question}</h2>
        <p class="muted facts">seed {first.request.seed ?? 0}</p>
      </header>
      {done.length > 1 && (
        <div class="toolbar">
          <div class="segments" role="group" aria-label="What to show">
            <button type="button" aria-pressed={!isDifference} onClick={() => setDifference(false)}>
              Answers
            </button>
            <button type="button" aria-pressed={isDifference} onClick={() => setDifference(true)}>
              Differences
            </button>
          </div>
          <label class="inline">
            from
            <select value={base} onChange={(event) => setReference(event.currentTarget.value)}>
              {done.map((answer) => (
                <option key={answer.id} value={answer.id}>
                  {nameOf(answer)}
                </option>
              ))}
            </select>
          </label>
          <a class="button small" {...linkTo(`/rate?group=${encodeURIComponent(group)}`)}>
            <Icon name="star" /> Rate blind
          </a>
          {isDifference && (
            <span class="legend muted small">
              equal <span class="ramp" aria-hidden="true" /> different
            </span>
          )}
        </div>
      )}
      <SyncedVideos
        frameRateHz={done[0]?.result?.frameRateHz ?? 8}
        columns={Math.min(answers.length + 1, 5)}
        label="Answers side by side"
        videos={[
          {
            key: "input",
            title: "Your clip",
            url: input,
            state: input === undefined ? "waiting" : undefined,
          },
          ...answers.map((answer) => {
            const own = frames[answer.id];
            const canDiffer =
              isDifference && own && baseFrames && answer.id !== base && own.width === baseFrames.width;
            return {
              key: answer.id,
              title: nameOf(answer),
              note: answer.result
                ? `${total(answer.result.timingsSecs).toFixed(1)} s`
                : (steps[answer.id] ?? answer.state),
              url: answer.result?.files.answer[0],
              strip: isFinal(answer) ? undefined : strips[answer.id],
              state: isFinal(answer) && !answer.result ? answer.state : undefined,
              against: canDiffer ? { own, other: baseFrames } : undefined,
              below: (
                <div class="under">
                  {answer.error ? (
                    <p class="small">{answer.error.message}</p>
                  ) : (
                    <p>
                      {answer.result?.caption ||
                        (answer.result ? <span class="muted">no caption</span> : " ")}
                    </p>
                  )}
                  {between.get(answer.id) && (
                    <p class="muted small flush">difference by frame</p>
                  )}
                  {between.get(answer.id) && (
                    <Sparkline values={between.get(answer.id)!.byFrame} most={most} />
                  )}
                </div>
              ),
            };
          }),
        ]}
      />
      {done.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Numbers">
          <table>
            <thead>
              <tr>
                <th scope="col">System</th>
                <th scope="col" class="number">
                  Seconds
                </th>
                <th scope="col" class="number">
                  Words
                </th>
                <th
                  scope="col"
                  class="number"
                  title="Mean absolute difference of neighbouring frames, in levels of 255"
                >
                  Motion
                </th>
                <th
                  scope="col"
                  class="number"
                  title="Mean absolute difference from the chosen answer, in levels of 255"
                >
                  Difference
                </th>
                <th scope="col" class="number" title="Peak signal-to-noise ratio against the chosen answer">
                  PSNR
                </th>
                <th scope="col">
                  <span class="sr">Open</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {done.map((answer) => {
                const apart = between.get(answer.id);
                const own = frames[answer.id];
                const words = answer.result!.caption.split(/\s+/).filter(Boolean).length;
                return (
                  <tr key={answer.id}>
                    <th scope="row">{nameOf(answer)}</th>
                    <td class="number">{total(answer.result!.timingsSecs).toFixed(1)}</td>
                    <td class="number">{answer.request.system === "extension" ? "–" : words}</td>
                    <td class="number">{own ? motion(own).toFixed(2) : "…"}</td>
                    <td class="number">
                      {answer.id === base ? "–" : apart ? apart.meanLevels.toFixed(2) : "…"}
                    </td>
                    <td class="number">
                      {answer.id === base
                        ? "–"
                        : apart
                          ? Number.isFinite(apart.psnrDb)
                            ? `${apart.psnrDb.toFixed(1)} dB`
                            : "equal"
                          : "…"}
                    </td>
                    <td>
                      <a {...linkTo(`/ask/${answer.id}`)}>
                        Open<span class="sr"> the answer of {nameOf(answer)}</span>
                      </a>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {done.length > 0 && (
        <details class="settings">
          <summary>What each thought</summary>
          <dl class="thoughts">
            {done.map((answer) => (
              <div key={answer.id}>
                <dt>{nameOf(answer)}</dt>
                <dd>{answer.result!.reasoning || "It does not think."}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      <p class="row actions">
        <a class="button" {...linkTo(`/compare?from=${first.id}`)}>
          <Icon name="again" /> Ask another way
        </a>
      </p>
    </article>
  );
}

/** How far apart two clips are, frame by frame. */
function Sparkline({ values, most }: { readonly values: readonly number[]; readonly most: number }) {
  const points = values.map(
    (value, i) => `${(i / Math.max(1, values.length - 1)) * 100},${24 - (value / most) * 22}`,
  );
  return (
    <svg
      class="spark"
      viewBox="0 0 100 26"
      preserveAspectRatio="none"
      role="img"
      aria-label={`Difference by frame, at most ${Math.max(...values).toFixed(1)} levels`}
    >
      <polyline points={points.join(" ")} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
