/** Where a clip comes from: a drop, a file, the camera, or what comes with the studio. @module */
import { useEffect, useRef, useState } from "preact/hooks";
import { type ClipInfo, call, type Example, upload } from "../api.ts";
import { Failure } from "./failure.tsx";
import { Icon } from "./icons.tsx";

/** Longest recording, in seconds. */
const RECORD_SECS = 8;

export function ClipPicker({ onClip }: { onClip(clip: ClipInfo, questions: readonly string[]): void }) {
  const [examples, setExamples] = useState<readonly Example[]>([]);
  const [share, setShare] = useState<number>();
  const [error, setError] = useState<unknown>();
  const [isOver, setOver] = useState(false);
  const [isRecording, setRecording] = useState(false);
  const file = useRef<HTMLInputElement>(null);

  useEffect(() => {
    call<{ examples: Example[] }>("GET", "/examples").then(
      (found) => setExamples(found.examples),
      (failure: unknown) => setError(failure),
    );
  }, []);

  const take = async (blob: Blob, name: string): Promise<void> => {
    setError(undefined);
    setShare(0);
    try {
      onClip(await upload(blob, name, setShare), []);
    } catch (failure) {
      setError(failure);
    } finally {
      setShare(undefined);
    }
  };
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    const dropped = event.dataTransfer?.files[0];
    if (dropped) void take(dropped, dropped.name);
  };

  return (
    <div class="picker">
      <div
        class={`drop${isOver ? " over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={onDrop}
      >
        <p class="big">Drop a clip or a picture</p>
        <p class="row center">
          <button type="button" onClick={() => file.current?.click()}>
            <Icon name="upload" /> Choose a file
          </button>
          <button type="button" onClick={() => setRecording(true)}>
            <Icon name="camera" /> Record
          </button>
        </p>
        <p class="muted small">mp4, webm, mov, gif, png, jpeg. It stays on this server.</p>
        <input
          ref={file}
          type="file"
          class="sr"
          tabIndex={-1}
          accept="video/*,image/*"
          aria-label="Clip or picture"
          onChange={(event) => {
            const chosen = event.currentTarget.files?.[0];
            if (chosen) void take(chosen, chosen.name);
            event.currentTarget.value = "";
          }}
        />
        {share !== undefined && (
          <progress value={share} max={1} aria-label="Upload">
            {Math.round(share * 100)} %
          </progress>
        )}
      </div>
      {isRecording && (
        <Recorder
          onDone={(blob) => {
            setRecording(false);
            if (blob) void take(blob, "recording.webm");
          }}
          onError={(failure) => {
            setRecording(false);
            setError(failure);
          }}
        />
      )}
      {error !== undefined && <Failure error={error} />}
      {examples.length > 0 && (
        <div>
          <h3>Or try one of these</h3>
          <ul class="examples">
            {examples.map((example) => (
              <li key={example.id}>
                <button type="button" class="card" onClick={() => onClip(example, example.questions)}>
                  {example.isStill ? (
                    <img src={example.content} alt="" width={96} height={96} />
                  ) : (
                    <video
                      src={`${example.content}#t=1`}
                      muted
                      playsInline
                      preload="metadata"
                      width={96}
                      height={96}
                    />
                  )}
                  <span>{example.name}</span>
                </button>
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

function Recorder({
  onDone,
  onError,
}: {
  onDone(blob: Blob | undefined): void;
  onError(error: unknown): void;
}) {
  const view = useRef<HTMLVideoElement>(null);
  const [recorder, setRecorder] = useState<MediaRecorder>();
  const [isOn, setOn] = useState(false);
  const isDropped = useRef(false);

  useEffect(() => {
    let stream: MediaStream | undefined;
    if (!navigator.mediaDevices?.getUserMedia) {
      onError(new Error("This browser gives no camera to this page; it needs https or localhost."));
      return;
    }
    navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false }).then(
      (opened) => {
        stream = opened;
        if (view.current) view.current.srcObject = opened;
        const made = new MediaRecorder(opened);
        const pieces: Blob[] = [];
        made.ondataavailable = (event) => pieces.push(event.data);
        made.onstop = () => onDone(isDropped.current ? undefined : new Blob(pieces, { type: made.mimeType }));
        setRecorder(made);
      },
      () => onError(new Error("The camera cannot be used. Is it allowed for this page?")),
    );
    return () => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  const stop = (): void => {
    if (recorder?.state === "recording") recorder.stop();
    else onDone(undefined);
  };
  return (
    <div class="recorder">
      <video ref={view} class="video" autoplay muted playsInline aria-label="Camera" />
      <p class="row center">
        {isOn ? (
          <button type="button" class="primary" onClick={stop}>
            ■ Stop
          </button>
        ) : (
          <button
            type="button"
            class="primary"
            disabled={!recorder}
            onClick={() => {
              recorder?.start();
              setOn(true);
              setTimeout(stop, RECORD_SECS * 1000);
            }}
          >
            ● Record up to {RECORD_SECS} s
          </button>
        )}
        <button
          type="button"
          onClick={() => {
            isDropped.current = true;
            stop();
          }}
        >
          Close
        </button>
      </p>
    </div>
  );
}
