/** Small line pictures for buttons; they are never the only name of one. @module */

const PATHS = {
  play: "M6 4.5v11l9-5.5z",
  pause: "M6.5 4.5v11M13.5 4.5v11",
  back: "M12 5l-5 5 5 5",
  on: "M8 5l5 5-5 5",
  upload: "M10 13V4M6 7.5L10 3.5l4 4M4 13v3h12v-3",
  download: "M10 3.5v9M6 9l4 4 4-4M4 13.5v3h12v-3",
  camera: "M3.5 6h9v8h-9zM12.5 9l4-2.5v7l-4-2.5",
  again: "M15.5 10a5.5 5.5 0 1 1-1.7-4M15.5 3v3.4h-3.4",
  next: "M3.5 10h12M11 5.5l4.5 4.5-4.5 4.5",
  fan: "M4 10c5 0 5-5.5 11-5.5M4 10h11M4 10c5 0 5 5.5 11 5.5",
  star: "M10 3.2l2.1 4.3 4.7.7-3.4 3.3.8 4.7-4.2-2.2-4.2 2.2.8-4.7-3.4-3.3 4.7-.7z",
  sheet: "M3.5 3.5h13v13h-13zM3.5 10h13M10 3.5v13",
  braces: "M8 3.5c-3 0-1 5-3.5 6.5C7 11.5 5 16.5 8 16.5M12 3.5c3 0 1 5 3.5 6.5-2.5 1.5-.5 6.5-3.5 6.5",
  columns: "M3.5 4h5.5v12h-5.5zM11 4h5.5v12h-5.5z",
  trash: "M4 5.5h12M8 5.5v-2h4v2M5.5 5.5l.8 11h7.4l.8-11",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.4 1.4M14.3 14.3l1.4 1.4M4.3 15.7l1.4-1.4M14.3 5.7l1.4-1.4",
  moon: "M15.5 12A6.5 6.5 0 0 1 8 4.5a6.5 6.5 0 1 0 7.5 7.5z",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  loop: "M5 8.5V7a2 2 0 0 1 2-2h8M12.5 2.5L15 5l-2.5 2.5M15 11.5V13a2 2 0 0 1-2 2H5M7.5 17.5L5 15l2.5-2.5",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture of 1.15 em in the colour of the text. */
export function Icon({ name, filled = false }: { readonly name: IconName; readonly filled?: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill={filled || name === "play" ? "currentColor" : "none"} />
    </svg>
  );
}
