/** A report: its numbers with intervals, and its videos by family, metric and failure. @module */
import { useEffect, useState } from "preact/hooks";
import { call } from "../../api.ts";
import { linkTo, useQuery } from "../../location.ts";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icons.tsx";
import { SyncedVideos } from "../../parts/synced-videos.tsx";
import type { Estimate, Report, ReportSample, SamplePage } from "./report-api.ts";

/** Frames of a picture, as the evaluation keeps them, and their rate. */
const PICTURE_FRAMES = 17;
const PICTURE_RATE_HZ = 8;

/** What is looked at first. */
const HEADLINES = [
  "videoEventAccuracy",
  "captionEventAccuracy",
  "identityAccuracy",
  "clipV",
  "clipT",
  "rougeL",
  "fvd",
  "videoPsnrDb",
  "videoSsim",
  "motionEnergy",
];

/** Shares that a video has or has not: what can fail in it. */
const VIDEO_FAILURES: Readonly<Record<string, string>> = {
  videoEventAccuracy: "video shows another event",
  identityAccuracy: "object changed",
  referenceKept: "scene changed",
  videoEventAccuracyFromTruth: "true caption drawn wrong",
};
/** Likewise of a caption. */
const CAPTION_FAILURES: Readonly<Record<string, string>> = {
  captionEventAccuracy: "caption says another event",
  templateRate: "format broken",
};
/** Parts whose video is drawn from the caption that the model wrote. */
const CAPTIONED = ["video", "no-references"];
/** What made the video of a part. */
const MAKERS: Readonly<Record<string, string>> = {
  video: "the suite",
  "no-references": "cascade",
  extension: "extension",
  "video-from-truth": "true caption",
};
const makerOf = (part: string): string => MAKERS[part] ?? part;

/** One alarm of a system is enough: groups and families repeat it with other numbers. */
const isFirst = (alarm: Report["alarms"][number], at: number, all: Report["alarms"]): boolean =>
  all.findIndex(({ system, text }) => system === alarm.system && kindOf(text) === kindOf(alarm.text)) === at;
const kindOf = (text: string): string => text.replace(/-?\d[\d.]*/g, "#");

/** What can be asked for. */
const KINDS_OF_FAILURE: Readonly<Record<string, string>> = {
  "": "all samples",
  any: "anything failed",
  video: "the video failed",
  caption: "the caption failed",
  identity: "the object changed",
  none: "nothing failed",
};

export function Gallery({ name }: { readonly name: string }) {
  const [query, change] = useQuery();
  const [report, setReport] = useState<Report>();
  const [found, setFound] = useState<SamplePage>();
  const [error, setError] = useState<unknown>();
  const [group, setGroup] = useState("all");
  const filters = ["family", "kind", "part", "metric", "order", "failure", "page"].map(
    (one) => [one, query.get(one) ?? ""] as const,
  );
  const asked = new URLSearchParams(
    filters.filter(([, value]) => value !== "").map(([one, value]) => [one, value]),
  ).toString();
  const path = `/reports/${name.split("/").map(encodeURIComponent).join("/")}`;

  useEffect(() => {
    call<Report>("GET", path).then(setReport, (failure: unknown) => setError(failure));
  }, [path]);
  useEffect(() => {
    let isCurrent = true;
    call<SamplePage>("GET", `${path}/samples?${asked}`).then(
      (page) => isCurrent && setFound(page),
      (failure: unknown) => isCurrent && setError(failure),
    );
    return () => {
      isCurrent = false;
    };
  }, [path, asked]);

  if (error !== undefined) return <Failure error={error} />;
  if (!report) return <p class="muted">Opening the report …</p>;
  const families = Object.keys(report.families).sort();
  const of = (system: Report["systems"][number]) =>
    (group in system.metrics ? system.metrics[group] : system.families[group]) ?? {};
  const shown = HEADLINES.filter((metric) => report.systems.some((system) => of(system)[metric]));
  const metrics = found?.metrics ?? [];
  const page = Number(query.get("page") ?? 0);
  const filter = (one: string, value: string): void => change({ [one]: value, page: "" });
  return (
    <>
      <section class="panel">
        <header class="row between">
          <div>
            <h2 class="flush">{name}</h2>
            <p class="muted small">
              {report.suite.name} {report.suite.version} · {report.data.evaluated} of {report.data.count}{" "}
              samples
              {report.data.isHeldOut ? ", never seen in training" : ""}
            </p>
          </div>
          <label class="inline">
            Group
            <select value={group} onChange={(event) => setGroup(event.currentTarget.value)}>
              {["all", "procedural", "predictive", ...families].map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
        </header>
        <div class="scroll" tabIndex={0} role="region" aria-label="Metrics">
          <table>
            <thead>
              <tr>
                <th scope="col">Metric</th>
                {report.systems.map((system) => (
                  <th key={system.name} scope="col" class="number" title={system.about}>
                    {system.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((metric) => (
                <tr key={metric}>
                  <th scope="row" title={report.definitions[metric]}>
                    {words(metric)}
                    <span class="line muted about">{report.definitions[metric]}</span>
                  </th>
                  {report.systems.map((system) => (
                    <td key={system.name} class="number">
                      <Value estimate={of(system)[metric]} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {report.alarms.filter(isFirst).map((alarm) => (
          <p key={`${alarm.system} ${alarm.text}`} class="note warn wide">
            <b>{alarm.system}.</b> {alarm.text}
          </p>
        ))}
      </section>
      <section aria-label="Gallery" class="gallery">
        <div class="toolbar">
          <label class="inline">
            Family
            <select
              value={query.get("family") ?? ""}
              onChange={(event) => filter("family", event.currentTarget.value)}
            >
              <option value="">all</option>
              {families.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label class="inline">
            Kind
            <select
              value={query.get("kind") ?? ""}
              onChange={(event) => filter("kind", event.currentTarget.value)}
            >
              <option value="">all</option>
              <option>procedural</option>
              <option>predictive</option>
            </select>
          </label>
          {found && found.videos.length > 1 && (
            <label class="inline">
              Videos of
              <select
                value={query.get("part") ?? ""}
                onChange={(event) => filter("part", event.currentTarget.value)}
              >
                <option value="">all systems</option>
                {found.videos.map((one) => (
                  <option key={one} value={one}>
                    {makerOf(one)}
                  </option>
                ))}
              </select>
            </label>
          )}
          <label class="inline">
            Sort by
            <select
              value={query.get("metric") ?? ""}
              onChange={(event) => filter("metric", event.currentTarget.value)}
            >
              <option value="">order of the data</option>
              {metrics.map((one) => (
                <option key={one} value={one}>
                  {words(one)}
                </option>
              ))}
            </select>
          </label>
          {query.get("metric") && (
            <label class="inline">
              <span class="sr">Order</span>
              <select
                value={query.get("order") ?? "up"}
                onChange={(event) => filter("order", event.currentTarget.value)}
              >
                <option value="up">lowest first</option>
                <option value="down">highest first</option>
              </select>
            </label>
          )}
          <label class="inline">
            Show
            <select
              value={query.get("failure") ?? ""}
              onChange={(event) => filter("failure", event.currentTarget.value)}
            >
              {Object.entries(KINDS_OF_FAILURE).map(([one, text]) => (
                <option key={one} value={one}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          {found && (
            <span class="muted small" role="status">
              {found.total} sample{found.total === 1 ? "" : "s"}
            </span>
          )}
        </div>
        {found?.samples.length === 0 && (
          <div class="welcome">
            <p class="big">No sample fits these filters.</p>
            <p>
              <button
                type="button"
                onClick={() => change({ family: "", metric: "", failure: "", kind: "", part: "", page: "" })}
              >
                Show all samples
              </button>
            </p>
          </div>
        )}
        {found && found.samples.length > 0 && (
          <SyncedVideos
            frameRateHz={PICTURE_RATE_HZ}
            columns={5}
            label="Samples"
            videos={found.samples.flatMap((sample) => tilesOf(sample, query.get("metric") ?? "", query.get("part") ?? ""))}
          />
        )}
        {found && found.pages > 1 && (
          <nav class="row center" aria-label="Pages of samples">
            <button type="button" disabled={page <= 0} onClick={() => change({ page: String(page - 1) })}>
              <Icon name="back" /> Before
            </button>
            <span class="muted">
              {page + 1} of {found.pages}
            </span>
            <button
              type="button"
              disabled={page + 1 >= found.pages}
              onClick={() => change({ page: String(page + 1) })}
            >
              More <Icon name="on" />
            </button>
          </nav>
        )}
      </section>
      <p>
        <a {...linkTo("/compare/reports")}>All reports</a>
      </p>
    </>
  );
}

/** A tile for every video that was kept of a sample, or for that of one part. */
function tilesOf(sample: ReportSample, metric: string, wanted: string) {
  const caption = sample.parts.find(({ part }) => part === "caption");
  const kept = sample.parts.filter(
    ({ part, picture }) => picture !== undefined && (wanted === "" || part === wanted),
  );
  return (kept.length > 0 ? kept : sample.parts.slice(0, 1)).map(({ part, picture, values, texts }) => {
    const own = CAPTIONED.includes(part);
    // A tile tells of its own video, and of the caption where the video was drawn from it.
    const value = values[metric] ?? (own ? caption?.values[metric] : undefined);
    const failed = [
      ...Object.entries(VIDEO_FAILURES).filter(([one]) => values[one] === 0),
      ...Object.entries(CAPTION_FAILURES).filter(([one]) => own && caption?.values[one] === 0),
    ];
    return {
      key: `${sample.id} ${part}`,
      title: sample.family,
      note: value !== undefined ? `${makerOf(part)} · ${value.toFixed(3)}` : makerOf(part),
      stack: picture === undefined ? undefined : { url: picture, frames: PICTURE_FRAMES },
      state: picture === undefined ? "no video kept" : undefined,
      below: (
        <div class="under">
          <p>{texts["caption"] ?? (own ? caption?.texts["caption"] : undefined)}</p>
          {failed.map(([one, text]) => (
            <p key={one} class="fail">
              {text}
              {one === "videoEventAccuracy" && texts["nearest"] ? `: ${texts["nearest"]}` : ""}
            </p>
          ))}
          <p class="muted small">{sample.id.replace(/^.*-/, "#")}</p>
        </div>
      ),
    };
  });
}

function Value({ estimate }: { readonly estimate: Estimate | undefined }) {
  if (!estimate) return <span class="muted">–</span>;
  const digits = Math.abs(estimate.value) >= 10 ? 1 : 3;
  return (
    <span title={`95 % interval over ${estimate.n} samples`}>
      {estimate.value.toFixed(digits)}
      <span class="muted small interval">
        {estimate.low.toFixed(digits)} to {estimate.high.toFixed(digits)}
      </span>
    </span>
  );
}

/** Short names, as people write them. */
const SHORT: Readonly<Record<string, string>> = {
  clip: "CLIP",
  rouge: "ROUGE",
  fvd: "FVD",
  bleu: "BLEU",
  psnr: "PSNR",
  ssim: "SSIM",
  v: "V",
  t: "T",
  l: "L",
};

/** A metric's name in words: `videoPsnrDb` is "video PSNR (dB)". */
function words(metric: string): string {
  const parts = metric.replace(/([a-z])([A-Z0-9])/g, "$1 $2").toLowerCase().split(" ");
  const unit = parts.at(-1) === "db" ? parts.splice(-1) && " (dB)" : "";
  return (
    parts
      .map((part) => SHORT[part] ?? part)
      .join(" ")
      .replace(/\b(CLIP|ROUGE) ([VTL])\b/, "$1-$2") + unit
  );
}
