/** `node:path` for forward slashes. @module */

export const sep = "/";
export const delimiter = ":";

export const isAbsolute = (path: string): boolean => path.startsWith("/");

function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return (isAbsolute(path) ? "/" : "") + parts.join("/");
}

export const join = (...parts: string[]): string => normal(parts.filter((part) => part !== "").join("/"));

export function resolve(...parts: string[]): string {
  const start = parts.findLastIndex(isAbsolute);
  return normal(start < 0 ? `/${parts.join("/")}` : parts.slice(start).join("/"));
}

export function dirname(path: string): string {
  const at = normal(path).lastIndexOf("/");
  return at > 0 ? normal(path).slice(0, at) : isAbsolute(path) ? "/" : ".";
}

export const basename = (path: string): string => normal(path).split("/").at(-1)!;

export function relative(from: string, to: string): string {
  const a = resolve(from).split("/").filter(Boolean);
  const b = resolve(to).split("/").filter(Boolean);
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared++;
  return [...a.slice(shared).map(() => ".."), ...b.slice(shared)].join("/");
}
