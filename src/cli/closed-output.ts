/**
 * Output that nobody takes any more: a reader that went away (`| head`), or a full disk behind a redirection.
 * @module
 */

/** The streams of a program. */
export interface Outputs {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/**
 * Makes a failure of either stream stop the work that {@link interruptible} runs, instead of ending the program in the
 * middle of it. That a reader has left is no error of its own; anything else is told once and exits 1.
 *
 * @param stop stops the work in an orderly way
 */
export function watchOutput({ stdout, stderr }: Outputs, stop: () => void): { readonly isFailed: boolean } {
  const state = { isClosed: false, isFailed: false };
  const onError = (error: NodeJS.ErrnoException): void => {
    if (state.isClosed) return;
    state.isClosed = true;
    if (error.code !== "EPIPE") {
      state.isFailed = true;
      process.exitCode = 1;
      stderr.write(
        `VANS_CLI_OUTPUT: the output cannot be written\n  found: ${error.code ?? error.message}\n`,
      );
    }
    stop();
  };
  stdout.on("error", onError);
  stderr.on("error", onError);
  return state;
}
