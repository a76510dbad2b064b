/**
 * A test set of samples that leak on purpose, and of clean ones: playroom samples and hand-written steps from kitchens,
 * workshops and streets.
 * @module
 */
import { fold, integer, type Key, keyFromSeed } from "../../base/keys.ts";
import { sampleForSeed } from "../../world/index.ts";
import type { LeakSubject } from "../review/leakage.ts";

/** A sample with the truth about it. */
export interface PlantedSample {
  readonly subject: LeakSubject;
  /** How it leaks; undefined for a clean one. */
  readonly planted: string | undefined;
}

/** Input, question, answer and another way to say the answer. All questions are clean. */
const HAND_MADE: readonly (readonly [string, string, string, string])[] = [
  [
    "the cook whisks eggs in a bowl",
    "I have whisked the eggs. What should I do next?",
    "pour the eggs into the hot pan",
    "the eggs are poured into a heated pan",
  ],
  [
    "the cook spreads tomato sauce on the dough",
    "The sauce is on. What is my next step?",
    "sprinkle grated cheese over the sauce",
    "add cheese on top of the sauce",
  ],
  [
    "a mechanic lifts the bicycle on a stand",
    "The bike is up. What comes next?",
    "unscrew the nut and take the wheel off",
    "remove the wheel after unscrewing its nut",
  ],
  [
    "a person folds a square of paper in half",
    "I folded the paper once. How do I go on?",
    "cut four slits towards the centre",
    "slice four slits to the centre of the sheet",
  ],
  [
    "a woman chops onions on a board",
    "What do I do after this?",
    "fry the onions in oil until golden",
    "cook onions in oil till they are golden",
  ],
  [
    "a boy stands on a diving board",
    "What happens if he takes one step forward?",
    "he falls into the pool with a splash",
    "the boy drops into the water of the pool",
  ],
  [
    "a cat sits beside a vase on a table",
    "What happens if the cat reaches out its paw?",
    "the vase tips over and shatters on the floor",
    "the vase topples and breaks on the ground",
  ],
  [
    "a man holds a lit match near a fuse",
    "What if he brings the match closer?",
    "the firework shoots up and explodes",
    "a rocket flies into the sky and bursts",
  ],
  [
    "a driver looks at his phone at the wheel",
    "What could happen if he keeps looking down?",
    "the car crashes into a tree",
    "the vehicle smashes into a trunk",
  ],
  [
    "a girl holds an ice cream in the sun",
    "What will happen if she waits for long?",
    "the ice cream melts and drips on her dress",
    "melted cream runs down onto the dress",
  ],
  [
    "a dog watches a ball in the air",
    "What happens when the ball comes down?",
    "the dog catches it with its mouth",
    "it is snatched by the dog's jaws",
  ],
  [
    "a worker lays bricks in a row",
    "The row is done. What should I do now?",
    "spread fresh mortar and level it",
    "put new mortar down and smooth it flat",
  ],
  [
    "a tailor pins the hem of a skirt",
    "The hem is pinned. What next?",
    "sew along the hem with the machine",
    "stitch the hem on a sewing machine",
  ],
  [
    "a gardener digs a hole",
    "I dug the hole. What is next?",
    "set the young tree into it and water the roots",
    "place a sapling in and pour water over its roots",
  ],
  [
    "a baker kneads dough",
    "I kneaded the dough. What now?",
    "leave it under a towel to rise",
    "let it rest covered with a towel until it swells",
  ],
  [
    "an old woman waits at the door",
    "What if her grandson comes home?",
    "she hugs him and cries with joy",
    "weeping happily she embraces the young man",
  ],
  [
    "a chef tastes the soup",
    "What happens in an exaggerated movie if the soup is too spicy?",
    "flames shoot out of his mouth",
    "fire bursts from his lips",
  ],
  [
    "a hand turns the key of a car",
    "What happens if the battery is dead?",
    "the engine stays silent and the driver sighs",
    "no sound from the motor, and a sigh",
  ],
  [
    "a goalkeeper stands ready",
    "What if the striker shoots to the left?",
    "the keeper dives and saves the ball",
    "with a leap the goalkeeper stops the shot",
  ],
  [
    "a person peels potatoes",
    "The potatoes are peeled. What do I do then?",
    "boil them in salted water for twenty minutes",
    "cook in salty water for twenty minutes",
  ],
  [
    "a barber covers a client with a cape",
    "I put the cape on. What do I do next?",
    "trim the hair at the sides with clippers",
    "cut hair on both sides using clippers",
  ],
  [
    "a student mixes baking soda into a bottle",
    "What happens if vinegar is added?",
    "foam rises and overflows the neck of the bottle",
    "froth swells and spills over the bottle",
  ],
  [
    "a boat drifts towards a waterfall",
    "What happens if nobody rows?",
    "the boat plunges over the edge and breaks apart",
    "it falls over the edge and is smashed",
  ],
  [
    "a technician opens a laptop case",
    "The case is open. What should I do now?",
    "blow the dust out of the fan",
    "remove dust from the fan with air",
  ],
];

/** Ways to plant. Each takes the texts and gives a question (or other fields) that leaks. */
const WAYS: readonly {
  readonly name: string;
  readonly plant: (subject: LeakSubject, other: string, key: Key) => LeakSubject;
}[] = [
  { name: "verbatim", plant: (s) => ({ ...s, question: `${s.question} Does it happen that ${s.caption}?` }) },
  { name: "answer as question", plant: (s) => ({ ...s, question: `Why is it that ${s.caption}?` }) },
  { name: "paraphrase", plant: (s, other) => ({ ...s, question: `Is it true that ${other}?` }) },
  { name: "hint in brackets", plant: (s) => ({ ...s, question: `${s.question} (hint: ${s.caption})` }) },
  {
    name: "choices",
    plant: (s) => ({
      ...s,
      question: `${s.question} A: nothing changes. B: ${s.caption}. C: it starts to rain.`,
    }),
  },
  {
    name: "reordered",
    plant: (s, _other, key) => ({ ...s, question: `${s.question} With ${shuffled(s.caption, key)}?` }),
  },
  {
    name: "inflected",
    plant: (s) => ({ ...s, question: `How would it look with ${inflected(s.caption)}?` }),
  },
  {
    name: "upper case",
    plant: (s) => ({ ...s, question: `${s.question} ${s.caption.toUpperCase().replaceAll(" ", "  ")}!` }),
  },
  {
    name: "second video",
    plant: (s) => ({ ...s, reasoning: `${s.reasoning} As video 2 shows, this is what follows.` }),
  },
  {
    name: "input says it",
    plant: (s) => ({ ...s, inputLabel: `${s.inputLabel ?? ""}, and then ${s.caption}` }),
  },
  {
    name: "named as done",
    plant: (s) => ({ ...s, skippedSteps: [...(s.skippedSteps ?? []), s.caption] }),
  },
];

function shuffled(text: string, key: Key): string {
  const words = text.split(" ");
  for (let i = words.length - 1; i > 0; i--) {
    const j = integer(fold(key, "shuffle", i), i + 1);
    [words[i], words[j]] = [words[j]!, words[i]!];
  }
  return words.join(" ");
}

/** Plurals and verb endings that a copy by eye would change. */
function inflected(text: string): string {
  return text
    .split(" ")
    .map((word) => {
      if (word.length < 4 || /ing$/.test(word)) return word;
      if (/[^s]s$/.test(word)) return word.slice(0, -1);
      return /[aeiou]$/.test(word) ? word : `${word}s`;
    })
    .join(" ");
}

/** Clean samples first, then each planted in one of the ways in turn. */
export function plantedSamples(seed: number, worldSamples = 200): PlantedSample[] {
  const root = fold(keyFromSeed(seed), "planted");
  const clean: { subject: LeakSubject; other: string }[] = HAND_MADE.map(
    ([inputLabel, question, caption, other]) => ({
      subject: { question, caption, inputLabel, reasoning: "This usually follows." },
      other,
    }),
  );
  for (let n = 0; n < worldSamples; n++) {
    const sample = sampleForSeed(integer(fold(root, "world", n), 800_000));
    const { question, reasoning, caption, paraphrases } = sample;
    const other = paraphrases[integer(fold(root, "other", n), paraphrases.length)]!;
    clean.push({ subject: { question, reasoning, caption, goal: sample.goal, paraphrases }, other });
  }
  return [
    ...clean.map(({ subject }) => ({ subject, planted: undefined })),
    ...clean.flatMap(({ subject, other }, n) => {
      // Hand-made ones are planted in every way, simulated ones in one.
      const ways = n < HAND_MADE.length ? WAYS : [WAYS[n % WAYS.length]!];
      return ways.map((way) => ({ subject: way.plant(subject, other, fold(root, n)), planted: way.name }));
    }),
  ];
}
