/** Where the server asks for a token before it shows anything. @module */
import { useState } from "preact/hooks";
import { call } from "../api.ts";
import { Failure } from "./failure.tsx";

export function SignIn() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    call("POST", "/session", { token: token.trim() }).then(
      // The page begins anew with the cookie.
      () => location.reload(),
      (failure: unknown) => {
        setError(failure);
        setBusy(false);
      },
    );
  };
  return (
    <form class="panel narrow composer" onSubmit={submit}>
      <h1 class="flush">This server asks for a token</h1>
      <p class="muted flush">It is one of those that the server was started with. This browser keeps it for 30 days.</p>
      <label>
        Token
        <input
          type="password"
          autocomplete="current-password"
          required
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </label>
      {error !== undefined && <Failure error={error} />}
      <button type="submit" class="primary wide" disabled={isBusy || token.trim() === ""}>
        Sign in
      </button>
    </form>
  );
}
