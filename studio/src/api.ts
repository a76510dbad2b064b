/**
 * The server's API as the studio uses it.
 * @module
 */

/** An error as the server tells it. */
export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly asked?: string;
  readonly found?: string;
  readonly why?: string;
  readonly fix?: string;
}

/** An error of the API. */
export class ApiError extends Error {
  readonly body: ErrorBody;
  readonly status: number;

  constructor(status: number, body: ErrorBody) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

/** What can be asked about. */
export interface ClipInfo {
  readonly id: string;
  readonly name: string;
  readonly content: string;
  readonly isStill: boolean;
  readonly durationSecs?: number;
  readonly width?: number;
  readonly height?: number;
  readonly mediaType?: string;
}

export interface Example extends ClipInfo {
  readonly about: string;
  readonly questions: readonly string[];
}

export interface Suite {
  readonly name: string;
  readonly about: string;
  readonly isReady: boolean;
  /** Ways to answer with it; a server that does not tell knows the suite itself only. */
  readonly systems?: readonly string[];
  readonly answer: { readonly steps: number; readonly guidanceScale: number; readonly seed: number } | null;
}

export interface AnswerRequest {
  readonly clip: string;
  readonly question: string;
  readonly suite?: string | undefined;
  /** Another way to answer with the suite. */
  readonly system?: string | undefined;
  readonly trim?: { readonly startSecs: number; readonly endSecs: number } | undefined;
  readonly seed?: number | undefined;
  readonly steps?: number | undefined;
  readonly guidanceScale?: number | undefined;
  readonly samples?: number | undefined;
  readonly group?: string | undefined;
}

export interface AnswerResult {
  readonly reasoning: string;
  readonly caption: string;
  readonly samples: readonly {
    readonly reasoning: string;
    readonly caption: string;
    readonly video: string;
    readonly sheet: string;
  }[];
  readonly warnings: readonly { readonly code: string; readonly message: string; readonly fix?: string }[];
  readonly timingsSecs: Readonly<Record<string, number>>;
  readonly settings: Readonly<Record<string, unknown>> & { readonly seed: number };
  readonly suite: string;
  readonly frameRateHz: number;
  readonly frameCount: number;
  readonly files: {
    readonly answer: readonly string[];
    readonly sheet: string;
    readonly json: string;
    readonly input: string;
  };
}

export interface Answer {
  readonly id: string;
  readonly state: "queued" | "running" | "done" | "failed" | "cancelled";
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly group: string | null;
  readonly parent: string | null;
  readonly position: number | null;
  readonly progress: { readonly stage: string; readonly fraction: number } | null;
  readonly request: AnswerRequest & { readonly suite: string };
  readonly result: AnswerResult | null;
  readonly error: ErrorBody | null;
}

/** True where nothing will change any more. */
export function isFinal(answer: Pick<Answer, "state">): boolean {
  return answer.state === "done" || answer.state === "failed" || answer.state === "cancelled";
}

/** Told to the window where the server asks for a token. */
export const TOKEN_WANTED = "vans-token-wanted";

/** Told to the window when the server is out of reach, and when it is back: `detail` tells which. */
export const REACH_CHANGED = "vans-reach-changed";

/** Milliseconds until it is asked again for what could not be asked for. */
const AGAIN_MS = 1500;
let isReached = true;

function tellReach(reached: boolean): void {
  if (reached === isReached) return;
  isReached = reached;
  dispatchEvent(new CustomEvent(REACH_CHANGED, { detail: reached }));
}

/** Calls the API. Who only looks waits until the server is back. @throws ApiError */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response | undefined;
  for (;;) {
    response = await fetch(`/api/v1${path}`, {
      method,
      ...(body !== undefined && {
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    }).catch(() => undefined);
    tellReach(response !== undefined);
    if (response) break;
    if (method !== "GET")
      throw new ApiError(0, {
        code: "OFFLINE",
        message: "The server does not answer",
        fix: "Is vans serve still running? Try again when it is.",
      });
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  if (response.status === 401) dispatchEvent(new Event(TOKEN_WANTED));
  if (response.status === 204) return undefined as T;
  const value = (await response.json().catch(() => undefined)) as { error?: ErrorBody } | undefined;
  if (!response.ok || value === undefined)
    throw new ApiError(
      response.status,
      value?.error ?? { code: "UNKNOWN", message: `The server said ${response.status}` },
    );
  return value as T;
}

/** Sends a file, telling how far it is. @throws ApiError */
export function upload(file: Blob, name: string, onShare: (share: number) => void): Promise<ClipInfo> {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/uploads");
    request.setRequestHeader("x-file-name", encodeURIComponent(name));
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = (event) => onShare(event.total > 0 ? event.loaded / event.total : 0);
    request.onerror = () =>
      fail(
        new ApiError(0, {
          code: "OFFLINE",
          message: "The upload did not get through",
          fix: "Try again; large files are refused early.",
        }),
      );
    request.onload = () => {
      const value = JSON.parse(request.responseText || "{}") as ClipInfo & { error?: ErrorBody };
      if (request.status === 201) done(value);
      else
        fail(
          new ApiError(
            request.status,
            value.error ?? { code: "UNKNOWN", message: `The server said ${request.status}` },
          ),
        );
    };
    request.send(file);
  });
}

/** Small pictures of an answer on its way. */
export interface PreviewStrip {
  readonly url: string;
  readonly frames: number;
  readonly width: number;
  readonly height: number;
}

/** What an answer tells while it is made. */
export interface AnswerListener {
  state?(answer: Answer): void;
  /** The stream broke, or goes on. */
  connection?(isOpen: boolean): void;
  token?(event: { readonly part: string; readonly text: string; readonly sample: number }): void;
  caption?(event: { readonly reasoning: string; readonly caption: string }): void;
  step?(event: {
    readonly step: number;
    readonly steps: number;
    readonly sample: number;
    readonly preview?: PreviewStrip;
  }): void;
  input?(event: { readonly url: string }): void;
  warning?(event: {
    readonly warning: { readonly code: string; readonly message: string; readonly fix?: string };
  }): void;
}

/** How long to wait before a broken stream is opened anew, in ms. */
const RETRY_MS = 1500;

/**
 * Follows an answer. After a break the browser comes back by itself with the id of the last event; where it gives up (a
 * server that was restarted may refuse for a moment), the stream is opened anew and replayed from its start.
 */
export function follow(id: string, listener: AnswerListener): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const open = (): void => {
    const opened = new EventSource(`/api/v1/answers/${id}/events`);
    source = opened;
    opened.addEventListener("open", () => listener.connection?.(true));
    opened.addEventListener("error", () => {
      listener.connection?.(false);
      if (opened.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY_MS);
    });
    for (const name of ["state", "token", "caption", "step", "input", "warning"] as const)
      opened.addEventListener(name, (event) => {
        const data: unknown = JSON.parse((event as MessageEvent<string>).data);
        if (name === "state" && isFinal(data as Answer)) opened.close();
        (listener[name] as ((data: unknown) => void) | undefined)?.(data);
      });
  };
  open();
  return () => {
    source?.close();
    clearTimeout(timer);
  };
}
