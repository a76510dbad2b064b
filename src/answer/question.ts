/**
 * What a question may look like before any model has seen it.
 * @module
 */
import { VansError } from "../base/errors.ts";

/** Characters of a question; far more than people ask, far less than what the runtime survives on a command line. */
export const MAX_QUESTION_CHARACTERS = 4000;

/**
 * A question without the space around it.
 *
 * @throws `VANS_ANSWER_REQUEST` for an empty or endless one
 */
export function checkedQuestion(text: string): string {
  const question = text.trim();
  if (question === "") {
    throw new VansError("VANS_ANSWER_REQUEST", "the question is empty", {
      fix: 'ask something, for example "What happens next?"',
    });
  }
  if (question.length > MAX_QUESTION_CHARACTERS) {
    throw new VansError("VANS_ANSWER_REQUEST", "the question is too long", {
      found: `${question.length} characters`,
      fix: `ask in at most ${MAX_QUESTION_CHARACTERS} characters`,
      data: { characters: question.length, most: MAX_QUESTION_CHARACTERS },
    });
  }
  return question;
}
