/**
 * Words that carry content, brought to a common form: stems, irregular verbs, and a small thesaurus of actions and
 * outcomes, so that "the balloon burst" and "it pops" meet.
 * @module
 */

/** Words without content. Particles that make an outcome (`out`, `off`, `over`, `full`) are content. */
const STOP_WORDS = new Set(
  (
    "a an the this that these those some any all both each every and or but nor so if then than as at by for from in into of on onto " +
    "to with within without about after before during while until since because though although there here where when who whom whose " +
    "which what why how i me my mine we us our you your he him his she her hers it its they them their one ones someone somebody " +
    "something anything nothing everything thing things is am are was were be been being do does did doing done have has had having " +
    "can could may might must shall should will would ought not no yes very really just only also too even still already yet now soon " +
    "next later again ever never please will going go goes gets get getting got gotten make makes made making let lets say says tell " +
    "show shows shown see sees seen look looks happen happens happened happening video clip scene step steps frame picture image answer " +
    "question event following follow follows comes come came coming like such much many more most other another same own well right " +
    "okay want wants need needs should try use uses using used start starts begin begins end ends finally suddenly slowly quickly " +
    "person people man woman hand hands their way time bit side"
  ).split(" "),
);

/** Groups of words that say the same about an event. The first is the common form. */
const THESAURUS: readonly string[] = [
  "pop burst explode bang rupture blow-up",
  "fall drop tumble topple plunge collapse crash sink descend land",
  "break shatter smash crack snap fracture split",
  "tear rip shred",
  "burn ignite kindle ablaze flame fire blaze",
  "extinguish douse quench snuff",
  "smoke smoulder fume steam vapour vapor",
  "fill pour",
  "spill leak overflow slosh drip",
  "empty drain drink sip gulp",
  "melt thaw dissolve",
  "freeze chill cool refrigerate",
  "heat warm preheat",
  "cut slice chop dice carve mince",
  "mix stir blend whisk combine beat",
  "add put place lay set insert sprinkle top drop-in",
  "cook fry bake roast grill boil saute simmer toast",
  "remove peel strip detach take-off",
  "open unlock uncover unwrap",
  "close shut lock seal cover",
  "grow sprout bloom blossom flower rise swell inflate expand",
  "shrink deflate shrivel wither contract",
  "fly float soar drift lift ascend rise-up",
  "roll slide glide",
  "jump leap hop spring bounce",
  "run sprint dash rush race",
  "walk stroll march wander",
  "hit strike knock punch kick slap bump",
  "throw toss hurl fling pitch",
  "catch grab seize grasp snatch",
  "push shove press squeeze squash flatten",
  "pull drag tug haul draw",
  "turn rotate spin twist flip",
  "cry weep sob tear-up",
  "laugh giggle chuckle smile grin",
  "scream shout yell shriek",
  "fight attack struggle",
  "kill die dead death",
  "eat bite chew swallow taste devour",
  "wash clean rinse wipe scrub",
  "dry",
  "attach fasten tie fix glue stick tape join connect",
  "assemble build construct",
  "fold crease bend",
  "paint colour color draw",
  "serve plate",
  "leave depart exit escape flee",
  "arrive enter reach",
  "hide conceal vanish disappear",
  "appear emerge",
  "win victory triumph score",
  "lose defeat fail",
  "sleep nap doze",
  "wake awake",
  "sit seat",
  "stand upright",
  "broken pieces bits fragments shards",
  "floor ground",
  "roof top-of-house",
  "hat cap",
  "tyre tire",
  "fabric cloth",
  "bread loaf bun",
  "car vehicle automobile",
  "kid child boy girl",
  "dog puppy hound",
  "cat kitten",
  "angry furious mad rage",
  "happy glad joyful",
  "sad unhappy",
  "big large huge",
  "small little tiny",
  "full brim",
  "wet soak damp drench",
];

const IRREGULAR: Readonly<Record<string, string>> = {
  fell: "fall",
  fallen: "fall",
  broke: "break",
  broken: "break",
  burnt: "burn",
  blew: "blow",
  blown: "blow",
  flew: "fly",
  flown: "fly",
  grew: "grow",
  grown: "grow",
  rose: "rise",
  risen: "rise",
  took: "take",
  taken: "take",
  threw: "throw",
  thrown: "throw",
  caught: "catch",
  ate: "eat",
  eaten: "eat",
  drank: "drink",
  drunk: "drink",
  ran: "run",
  sat: "sit",
  stood: "stand",
  tore: "tear",
  torn: "tear",
  froze: "freeze",
  frozen: "freeze",
  drew: "draw",
  drawn: "draw",
  shook: "shake",
  shaken: "shake",
  slid: "slide",
  stuck: "stick",
  bent: "bend",
  built: "build",
  lost: "lose",
  won: "win",
  left: "leave",
  woke: "wake",
  slept: "sleep",
  swept: "sweep",
  sank: "sink",
  sunk: "sink",
  laid: "lay",
  lain: "lie",
  hid: "hide",
  hidden: "hide",
  bit: "bite",
  bitten: "bite",
  struck: "strike",
  fought: "fight",
  died: "die",
  dying: "die",
  lying: "lie",
  tying: "tie",
  leaves: "leaf",
  knives: "knife",
  loaves: "loaf",
  halves: "half",
  feet: "foot",
  teeth: "tooth",
  children: "child",
};

const VOWEL = /[aeiouy]/;

/** The stem of an English word: plural and verb endings off, as in the first steps of Porter's algorithm (1980). */
export function stem(word: string): string {
  const known = Object.hasOwn(IRREGULAR, word) ? IRREGULAR[word]! : word;
  let out = known;
  if (out.length > 4 && out.endsWith("ies")) out = `${out.slice(0, -3)}y`;
  else if (out.length > 4 && /(ss|sh|ch|x|z|o)es$/.test(out)) out = out.slice(0, -2);
  else if (out.length > 3 && out.endsWith("s") && !/(ss|us|is)$/.test(out)) out = out.slice(0, -1);
  for (const ending of ["ing", "ed"]) {
    const base = out.slice(0, -ending.length);
    if (!out.endsWith(ending) || base.length < 2 || !VOWEL.test(base)) continue;
    out = base;
    if (/([^aeioulsz])\1$/.test(out)) out = out.slice(0, -1);
    break;
  }
  if (out.length > 5 && out.endsWith("ly")) out = out.slice(0, -2);
  // "slice", "slicing" and "sliced" meet without their e.
  if (out.length > 3 && out.endsWith("e")) out = out.slice(0, -1);
  if (out.length > 3 && out.endsWith("y")) out = `${out.slice(0, -1)}i`;
  return out;
}

const synonyms = new Map<string, string>();
for (const group of THESAURUS) {
  const [head, ...others] = group.split(" ").map(stem);
  for (const word of [head!, ...others]) if (!synonyms.has(word)) synonyms.set(word, head!);
}

/** Words of a text that carry content, in order, as common forms. */
export function contentWords(text: string): string[] {
  const words = text
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(/[\u0300-\u036f]/g, "")
    .replaceAll(/['’]s\b/g, "")
    .match(/[a-z0-9]+/g);
  return (words ?? [])
    .filter((word) => !STOP_WORDS.has(word))
    .map(stem)
    .filter((word) => word.length > 1 && !STOP_WORDS.has(word))
    .map((word) => synonyms.get(word) ?? word);
}
