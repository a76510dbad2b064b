/**
 * The page: choose a clip, ask, watch the answer come. The work is done by {@link AnswerClient}'s worker.
 * @module
 */
import downloadBytes from "virtual:download";
import examples from "virtual:examples";
import type { AnswerEvent, AnswerReport } from "../src/answer/answer-event.ts";
import { AnswerClient, isOfRuntime } from "./answer-client.ts";
import { chooseBackend } from "./backend.ts";
import { ClipPlayer } from "./clip-view.ts";
import type { Ask, BackendChoice, Failure, Running } from "./messages.ts";
import { startTheme } from "./theme.ts";

/** Larger files would not fit into the page's memory beside the models. */
const MOST_BYTES = 200 * 2 ** 20;

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const form = element<HTMLFormElement>("ask");
const fileInput = element<HTMLInputElement>("file");
const question = element<HTMLTextAreaElement>("question");
const seed = element<HTMLInputElement>("seed");
const steps = element<HTMLInputElement>("steps");
const backend = element<HTMLSelectElement>("backend");
const status = element("status");
const bar = element<HTMLProgressElement>("bar");
const player = new ClipPlayer({
  input: element("input"),
  answer: element("answer"),
  play: element("play"),
  scrub: element("scrub"),
  time: element("time"),
});
const client = new AnswerClient();

let own: File | undefined;
/** An answer that the next question goes on from. */
let before: Ask["clip"] | undefined;
let running: Running;
let startedAt = 0;
let isWorking = false;

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function describe(choice: Running): string {
  if (choice.backend === "webgpu") return `Runs on WebGPU (${choice.about}).`;
  const threads = `${choice.threads} thread${choice.threads === 1 ? "" : "s"}`;
  return `Runs on WebAssembly, ${threads}${choice.about === "as chosen" ? "" : `: ${choice.about}`}.`;
}

async function updateBackend(): Promise<void> {
  running = await chooseBackend(backend.value as BackendChoice);
  element("running").textContent = describe(running);
  element("download").textContent =
    `The first answer fetches ${megabytes(downloadBytes.suite)} of models and ${megabytes(downloadBytes[running.backend])} of runtime (before compression) from this page's own server; nothing is sent anywhere.`;
}

/** Clips and the questions that fit them. */
function fillExamples(): void {
  const clips = [...new Set(examples.map(({ clip }) => clip))];
  element("clips").append(
    ...clips.map((clip, index) => {
      const label = document.createElement("label");
      label.className = "clip";
      const choice = Object.assign(document.createElement("input"), {
        type: "radio",
        name: "clip",
        value: clip,
        checked: index === 0,
      });
      choice.addEventListener("change", () => chooseExample(clip));
      label.append(choice, pictureOf(`examples/clips/${clip}`, clip), clip.replace(/\.\w+$/, ""));
      return label;
    }),
  );
  chooseExample(clips[0]!);
}

function pictureOf(url: string, name: string): HTMLElement {
  if (name.endsWith(".png")) return Object.assign(document.createElement("img"), { src: url, alt: "" });
  const video = Object.assign(document.createElement("video"), { src: url, muted: true, loop: true });
  video.playsInline = true;
  video.preload = "auto";
  video.tabIndex = -1;
  video.setAttribute("aria-hidden", "true");
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
    video.addEventListener("pointerenter", () => void video.play());
  video.addEventListener("pointerleave", () => video.pause());
  return video;
}

function chooseExample(clip: string): void {
  own = undefined;
  before = undefined;
  showOwn("<strong>Use your own</strong> clip or picture, or drop it here. It stays on this computer.", false);
  const fitting = examples.filter((example) => example.clip === clip).map((example) => example.question);
  showIdeas(fitting);
  question.value = fitting[0]!;
}

function showOwn(html: string, isChosen: boolean): void {
  element("own").innerHTML = html;
  element("drop").classList.toggle("chosen", isChosen);
}

function showIdeas(questions: readonly string[]): void {
  element("ideas").replaceChildren(
    ...questions.map((text) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
      button.addEventListener("click", () => {
        question.value = text;
        question.focus();
      });
      return button;
    }),
  );
}

function chooseOwn(file: File | undefined): void {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    showFailure({
      code: "VANS_MEDIA_TOO_LARGE",
      message: `${file.name} is too large for this page`,
      found: megabytes(file.size),
      fix: `cut out the seconds that matter; up to ${megabytes(MOST_BYTES)} fit`,
    });
    return;
  }
  own = file;
  takeOver(file.name, ["what should i do next?", "what happens next?"]);
}

/** A clip that is none of the bundled ones. */
function takeOver(name: string, questions: readonly string[]): void {
  for (const choice of document.querySelectorAll<HTMLInputElement>(".clip input")) choice.checked = false;
  showOwn("<strong></strong> is chosen.", true);
  element("own").querySelector("strong")!.textContent = name;
  showIdeas(questions);
}

async function chosenClip(): Promise<Ask["clip"]> {
  if (own) return { name: own.name, bytes: new Uint8Array(await own.arrayBuffer()) };
  if (before) return before;
  const { value } = document.querySelector<HTMLInputElement>(".clip input:checked")!;
  const response = await fetch(new URL(`examples/clips/${value}`, document.baseURI));
  if (!response.ok) throw new Error(`the clip ${value} is not there (status ${response.status})`);
  return { name: value, bytes: new Uint8Array(await response.arrayBuffer()) };
}

function setWorking(now: boolean): void {
  isWorking = now;
  element<HTMLButtonElement>("go").disabled = now;
  element("cancel").hidden = !now;
  element("progress").hidden = !now;
  for (const id of ["again", "onward", "save"]) element<HTMLButtonElement>(id).disabled = now;
}

function progress(text: string, fraction: number): void {
  if (status.textContent !== text) status.textContent = text;
  bar.value = fraction;
  element("percent").textContent = `${Math.round(fraction * 100)} %`;
}

function showFailure({ code, message, found, fix }: Failure): void {
  const box = element("failure");
  const line = (text: string): HTMLElement => Object.assign(document.createElement("p"), { textContent: text });
  const title = Object.assign(document.createElement("strong"), { textContent: message });
  const name = Object.assign(document.createElement("code"), { textContent: code });
  box.replaceChildren(title, ...(found ? [line(`Found: ${found}`)] : []), ...(fix ? [line(`Try: ${fix}`)] : []), name);
  box.hidden = false;
}

async function ask(): Promise<void> {
  if (isWorking || !form.reportValidity()) return;
  if (question.value.trim() === "") {
    question.setCustomValidity("Ask something.");
    form.reportValidity();
    question.setCustomValidity("");
    return;
  }
  element("failure").hidden = true;
  element("welcome").hidden = true;
  element("actions").hidden = true;
  for (const id of ["caption", "reasoning", "facts"]) element(id).textContent = "";
  element("warnings").replaceChildren();
  setWorking(true);
  progress("Getting ready", 0);
  startedAt = performance.now();
  try {
    const request = {
      clip: await chosenClip(),
      question: question.value,
      seed: Number(seed.value),
      steps: Number(steps.value),
    };
    const wanted = backend.value as BackendChoice;
    await client.start(running, onLoading);
    const outcome = await client.ask(request, onEvent);
    if (outcome.type === "failed" && isOfRuntime(outcome.failure) && wanted === "auto" && running.backend === "webgpu") {
      // A driver that offers WebGPU but cannot do the work: the processor can.
      running = { ...(await chooseBackend("wasm")), about: `WebGPU failed here (${outcome.failure.message})` };
      element("running").textContent = describe(running);
      await client.start(running, onLoading);
      const second = await client.ask(request, onEvent);
      if (second.type === "failed") showFailure(second.failure);
    } else if (outcome.type === "failed") showFailure(outcome.failure);
    else if (outcome.type === "cancelled") element("facts").textContent = "Cancelled.";
  } catch (error) {
    showFailure(
      (error as { readonly failure?: Failure }).failure ?? {
        code: "VANS_PAGE",
        message: error instanceof Error ? error.message : String(error),
        fix: "reload the page",
      },
    );
  } finally {
    setWorking(false);
  }
}

function onLoading(done: number, total: number): void {
  progress(`Fetching models: ${megabytes(done)} of ${megabytes(total)}`, 0.25 * (done / total));
}

function onEvent(event: AnswerEvent): void {
  switch (event.type) {
    case "loaded":
      return progress("Reading the clip", 0.27);
    case "input":
      element("result").hidden = false;
      document.body.classList.add("has-answer");
      player.setInput(event.input.frames);
      return progress("Watching", 0.3);
    case "warning":
      element("warnings").append(
        Object.assign(document.createElement("p"), {
          className: "note",
          textContent: event.warning.message,
        }),
      );
      return;
    case "token":
      if (event.part === "caption" || event.part === "reasoning") element(event.part).append(event.text);
      return progress("Reasoning", 0.4);
    case "caption":
      element("caption").textContent = event.caption;
      element("reasoning").textContent = event.reasoning;
      element("answer").setAttribute("aria-label", `The answer: ${event.caption}`);
      return progress("Preparing to draw", 0.5);
    case "step":
      if (event.preview) player.setAnswer(event.preview);
      return progress(`Drawing, step ${event.step} of ${event.steps}`, 0.6 + 0.35 * (event.step / event.steps));
    case "frames":
      player.setAnswer(event.clip);
      return progress("Done", 1);
    case "done":
      return showReport(event.report);
  }
}

function showReport(report: AnswerReport): void {
  element("actions").hidden = false;
  const secs = (performance.now() - startedAt) / 1000;
  element("facts").textContent =
    `${running.backend === "webgpu" ? "WebGPU" : "WebAssembly"} · ${secs.toFixed(1)} s in all · seed ${report.settings.seed} · ${report.settings.steps} steps · suite ${report.suite.name} ${report.suite.version} · frames ${report.samples[0]!.framesSha256.slice(0, 12)}`;
}

async function save(): Promise<void> {
  try {
    const { bytes, mediaType } = await client.save();
    const url = URL.createObjectURL(new Blob([bytes], { type: mediaType }));
    Object.assign(document.createElement("a"), { href: url, download: "answer.mp4" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    showFailure((error as { readonly failure?: Failure }).failure ?? { code: "VANS_PAGE", message: String(error) });
  }
}

/** Takes the answer as the next clip. */
async function goOn(): Promise<void> {
  try {
    const { bytes } = await client.save();
    own = undefined;
    before = { name: "answer.mp4", bytes };
    takeOver("The answer", ["what happens next?", "what should i do next?"]);
    question.value = "what should i do next?";
    await ask();
  } catch (error) {
    showFailure((error as { readonly failure?: Failure }).failure ?? { code: "VANS_PAGE", message: String(error) });
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void ask();
});
element("cancel").addEventListener("click", () => {
  status.textContent = "Cancelling";
  client.cancel();
});
element("save").addEventListener("click", () => void save());
element("onward").addEventListener("click", () => void goOn());
element("again").addEventListener("click", () => {
  seed.value = String(Number(seed.value) + 1);
  void ask();
});
backend.addEventListener("change", () => void updateBackend());
fileInput.addEventListener("change", () => chooseOwn(fileInput.files?.[0]));
const drop = element("drop");
for (const type of ["dragover", "dragleave", "drop"] as const)
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop") chooseOwn(event.dataTransfer?.files[0]);
  });
startTheme(element("theme"));
fillExamples();
await updateBackend();
