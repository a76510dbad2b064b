/**
 * The errors that a route may answer with, told from what it takes and does.
 * @module
 */
import type { Route } from "./route.ts";

/** Statuses of errors with what they mean here; what a route adds itself is among them. */
export function refusalsOf(one: Route, needsToken: boolean): Readonly<Record<number, string>> {
  const takesBody = one.body !== undefined || one.rawBody !== undefined;
  const told: (readonly [boolean, number, string])[] = [
    [one.query !== undefined || takesBody, 400, "The request is not as described"],
    [needsToken && one.isOpen !== true, 401, "No token that the server knows"],
    [true, 403, "Another host name than the server's own, or a page of another site"],
    [one.path.includes(":"), 404, "There is no such thing"],
    [takesBody, 408, "The body took too long to arrive"],
    [takesBody, 413, "The body, or what is in it, is too large"],
    [takesBody, 415, "The body is of a type that this does not take"],
    [one.responses[206] !== undefined, 416, "The file has no such range"],
    [one.method !== "get", 429, "Too many requests of this client; Retry-After tells when to come back"],
  ];
  return {
    ...Object.fromEntries(told.flatMap(([fits, status, about]) => (fits ? [[status, about]] : []))),
    ...one.refusals,
  };
}
