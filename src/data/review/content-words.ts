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
  "pop burst explode bang rupture detonate erupt",
  "fall drop tumble topple plunge collapse crash sink descend land",
  "break shatter smash crack snap fracture split",
  "tear rip shred",
  "burn ignite kindle ablaze flame fire blaze",
  "extinguish douse quench snuff smother",
  "smoke smoulder fume steam vapour vapor",
  "fill pour",
  "spill leak overflow slosh drip",
  "empty drain drink sip gulp",
  "melt thaw dissolve",
  "freeze chill cool refrigerate",
  "heat warm preheat",
  "cut slice chop dice carve mince saw",
  "mix stir blend whisk combine beat",
  "add put place lay set insert sprinkle top",
  "cook fry bake roast grill boil saute simmer toast",
  "remove peel strip detach",
  "open unlock uncover unwrap",
  "close shut lock seal cover",
  "grow sprout rise swell inflate expand",
  "bloom blossom flower",
  "shrink deflate shrivel wither contract",
  "fly float soar drift lift ascend",
  "roll slide glide skid slip",
  "jump leap hop spring bounce",
  "run sprint dash rush race",
  "walk stroll march wander",
  "hit strike knock punch kick slap bump collide",
  "throw toss hurl fling pitch",
  "catch grab seize grasp snatch",
  "push shove press squeeze squash flatten",
  "pull drag tug haul draw",
  "turn rotate spin twist flip",
  "cry weep sob",
  "laugh giggle chuckle smile grin",
  "scream shout yell shriek",
  "fight attack struggle",
  "kill die dead death",
  "eat bite chew swallow taste devour",
  "wash clean rinse wipe scrub",
  "dry",
  "attach fasten tie fix glue stick tape join connect mount fit install clamp",
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
  "roof rooftop",
  "hat cap",
  "tyre tire",
  "fabric cloth",
  "bread loaf bun",
  "car vehicle automobile truck",
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
  "boat ship vessel",
  "stone rock pebble boulder",
  "rug carpet mat",
  "glass cup mug tumbler goblet",
  "couch sofa",
  "bicycle bike",
  "phone telephone mobile smartphone",
  "noodle pasta spaghetti",
  "road street lane highway",
  "rubbish trash garbage",
  "police cop officer",
  "crowd audience spectator guest",
  "gift present",
  "applaud clap cheer",
  "hug embrace cuddle",
  "stop halt brake",
  "sew stitch",
  "spread smear",
  "decorate garnish adorn",
  "chase pursue",
  "save rescue",
  "steal rob",
  "give hand pass",
  "speak talk",
  "drive ride steer",
  "damage ruin wreck destroy",
  "decrease reduce lower",
  "increase raise",
  "repair mend",
  "tighten screw",
  "drain strain",
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
  women: "woman",
  mice: "mouse",
  stung: "sting",
  swung: "swing",
  hung: "hang",
  rang: "ring",
  rung: "ring",
  sang: "sing",
  sung: "sing",
  shrank: "shrink",
  shrunk: "shrink",
  sprang: "spring",
  sprung: "spring",
  swam: "swim",
  swum: "swim",
  drove: "drive",
  driven: "drive",
  rode: "ride",
  ridden: "ride",
  wrote: "write",
  written: "write",
  spun: "spin",
  fled: "flee",
  fed: "feed",
  bled: "bleed",
  led: "lead",
  met: "meet",
  held: "hold",
  kept: "keep",
  crept: "creep",
  leapt: "leap",
  wept: "weep",
  knelt: "kneel",
  felt: "feel",
  bought: "buy",
  brought: "bring",
  taught: "teach",
  sold: "sell",
  spoke: "speak",
  spoken: "speak",
  stole: "steal",
  stolen: "steal",
  chose: "choose",
  chosen: "choose",
  wore: "wear",
  worn: "wear",
  shone: "shine",
  shot: "shoot",
  lit: "light",
  dug: "dig",
  flung: "fling",
  spilt: "spill",
  split: "split",
  hurled: "hurl",
};

/**
 * Verbs with a particle that say the same as one word. The particle stands next to the verb, or after its object
 * ("takes the wheel off").
 */
const PHRASES: readonly (readonly [verbs: string, particles: string, word: string])[] = [
  ["go put blow burn", "out", "extinguish"],
  ["take pull", "off", "remove"],
  ["take", "out", "remove"],
  ["get step climb", "into in", "enter"],
  ["get step climb", "out", "leave"],
  ["run drive walk fly", "away off", "leave"],
  ["go", "down", "fall"],
  ["fall knock tip push", "over down", "fall"],
  ["fall break come", "apart", "break"],
  ["blow", "up", "pop"],
  ["pick", "up", "lift"],
  ["catch", "fire", "burn"],
];

const VOWEL = /[aeiouy]/;

/** The stem of an English word: plural and verb endings off, as in the first steps of Porter's algorithm (1980). */
export function stem(word: string): string {
  const known = Object.hasOwn(IRREGULAR, word) ? IRREGULAR[word]! : word;
  let out = known;
  if (out.length > 4 && out.endsWith("ies")) out = `${out.slice(0, -3)}y`;
  else if (out.length > 4 && out.endsWith("ied")) out = `${out.slice(0, -3)}y`;
  else if (out.length > 4 && /(ss|sh|ch|x|z|o)es$/.test(out)) out = out.slice(0, -2);
  else if (out.length > 3 && out.endsWith("s") && !/(ss|us|is)$/.test(out)) out = out.slice(0, -1);
  for (const ending of ["ing", "ed"]) {
    const base = out.slice(0, -ending.length);
    if (!out.endsWith(ending) || base.length < 2 || !VOWEL.test(base)) continue;
    out = base;
    break;
  }
  if (out.length > 5 && out.endsWith("ly")) out = out.slice(0, -2);
  // "slice", "slicing" and "sliced" meet without their e; "add", "added" and "stop", "stopped" without the double.
  if (out.length > 3 && out.endsWith("e")) out = out.slice(0, -1);
  if (/([a-z])\1$/.test(out)) out = out.slice(0, -1);
  if (out.length > 2 && out.endsWith("y")) out = `${out.slice(0, -1)}i`;
  return out;
}

const synonyms = new Map<string, string>();
for (const group of THESAURUS) {
  const [head, ...others] = group.split(" ").map(stem);
  for (const word of [head!, ...others]) if (!synonyms.has(word)) synonyms.set(word, head!);
}

/** By verb and particle. */
const phrases = new Map<string, string>();
for (const [verbs, particles, word] of PHRASES)
  for (const verb of verbs.split(" "))
    for (const particle of particles.split(" ")) phrases.set(`${stem(verb)} ${particle}`, word);
/** Words between a verb and its particle. */
const OBJECT_WORDS = 3;

/** Forms of "go", whose stems are others. */
const GOING = /^(?:goes|going|gone|went)$/;

/** The words of a text, verbs with their particles as one. */
function plainWords(text: string): string[] {
  const words = wordsOf(text).map((word) => (GOING.test(word) ? "go" : word));
  for (let i = 0; i < words.length; i++) {
    const verb = stem(words[i]!);
    for (let j = i + 1; j < words.length && j <= i + 1 + OBJECT_WORDS; j++) {
      const said = phrases.get(`${verb} ${words[j]!}`);
      if (said === undefined) continue;
      words[i] = said;
      words.splice(j, 1);
      break;
    }
  }
  return words;
}

const segmenter = new Intl.Segmenter("en", { granularity: "word" });
/** Scripts that write no spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/** Words of any script, in small letters and without accents. */
export function wordsOf(text: string): string[] {
  const plain = text
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(/[\u0300-\u036f]/g, "")
    .replaceAll(/['’]s\b/g, "");
  if (!UNSPACED.test(plain)) return plain.match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return [...segmenter.segment(plain)].filter((part) => part.isWordLike).map((part) => part.segment);
}

/** Words of a text that carry content, in order, as common forms. */
export function contentWords(text: string): string[] {
  return plainWords(text)
    .filter((word) => !STOP_WORDS.has(word))
    .map(stem)
    .filter((word) => (word.length > 1 || UNSPACED.test(word)) && !STOP_WORDS.has(word))
    .map((word) => synonyms.get(word) ?? word);
}
