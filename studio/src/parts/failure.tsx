/** An error as people can use it. @module */
import { ApiError, type ErrorBody } from "../api.ts";

export function Failure({ error }: { readonly error: unknown }) {
  const body: ErrorBody =
    error instanceof ApiError
      ? error.body
      : isBody(error)
        ? error
        : { code: "", message: error instanceof Error ? error.message : String(error) };
  return (
    <div class="failure" role="alert">
      <strong>{body.message}</strong>
      {body.found && <p>Found: {body.found}</p>}
      {body.why && <p>{body.why}</p>}
      {body.fix && <p>What helps: {body.fix}</p>}
      {body.code && <p class="code">{body.code}</p>}
    </div>
  );
}

function isBody(error: unknown): error is ErrorBody {
  return typeof error === "object" && error !== null && "code" in error && "message" in error;
}
