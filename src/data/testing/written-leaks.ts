/**
 * Leaks and clean samples written by hand, in other words than those that `planted-leaks.ts` makes: stems, passive
 * voice, synonyms, paraphrases, leaks in reasoning, labels and skipped steps, other scripts.
 * @module
 */
import type { LeakSubject } from "../review/leakage.ts";

const REASONING = "The state of things makes one outcome likely.";

/** Samples out of lines: what the input shows, the question, the answer. */
function samples(lines: string): LeakSubject[] {
  return lines
    .trim()
    .split("\n")
    .map((line) => {
      const [inputLabel, question, caption] = line.split(" | ") as [string, string, string];
      return { inputLabel, question, reasoning: REASONING, caption };
    });
}

/** The rules were mended by looking at these. */
const SEEN_LEAKS = samples(`
a chef holds a whole carrot | Should the carrot now be sliced into thin rounds? | slice the carrot into thin rounds
a child stacks blocks | Will the tower be toppling onto the rug soon? | the tower topples onto the rug
a gardener digs a hole | Is planting the seedling in the hole what I do now? | plant the seedling in the hole
an electrician strips a cable | What happens after the wires are twisted together and capped? | twist the wires together and put a cap on
a kettle stands on a stove | When the kettle whistles and steams, what do we see? | the kettle whistles and steam rises
a boy holds a stone by a window | Will the window be smashed by the stone? | the stone smashes the window
a goalkeeper waits | Is the ball going to be caught by the keeper? | the keeper catches the ball
a baker kneads dough | Does the dough get rolled flat with a pin next? | roll the dough flat with a pin
a nurse opens a packet | Is the bandage being wrapped around the arm after this? | wrap the bandage around the arm
a painter opens a tin | Once the wall has been painted blue by her, what then? | she paints the wall blue
a balloon near a cactus | Does the balloon explode when it touches the cactus? | the balloon bursts
a glass at the edge of a table | Will the tumbler crash to the ground and shatter? | the glass falls to the floor and breaks
a man at the door of a car | What if he enters the automobile and drives away? | he gets into the car and drives off
a candle in the wind | Will the flame be extinguished by the wind? | the candle goes out, the wind blows out the fire
a toddler without a toy | Is the kid going to weep loudly? | the child cries loudly
a puppy at a fence | Will the hound leap over the fence? | the dog jumps over the fence
ice cubes in the sun | Will the cubes thaw into water? | the ice cubes melt into water
a carpenter measures a plank | Do I saw the board in two now? | cut the plank in two with a saw
a cook with raw potatoes | Should I simmer the potatoes in salted water? | boil the potatoes in salted water
a car on ice | Will the vehicle skid and hit the guardrail? | the car slides and strikes the guardrail
two boxers in a ring | Will the one in red knock out the one in blue with a punch? | the boxer in red hits the blue one, who falls
a boat with a hole | Does the vessel sink beneath the waves? | the boat goes down under the waves
a runner before the line | Will she cross the finish and celebrate her victory? | she crosses the finish line and wins
a bread slice in a toaster | Does the slice jump out browned? | the toast pops up golden brown
a jug over a cup | Will the cup be filled to the brim with milk? | milk is poured until the cup is full
a woman mixes batter | I mixed the batter. Pour it in the tin and bake, right? | pour the batter into a tin and bake it
a mechanic with a flat wheel | I jacked up the car. Should I take the wheel off and fit the spare? | remove the flat wheel and mount the spare one
a barista grinds beans | After grinding, is tamping the coffee and locking the handle the next thing? | tamp the ground coffee and lock the handle into the machine
a tailor with cloth | Given pinned cloth, shall I sew along the edge by machine? | sew along the pinned edge with the machine
a man with a ladder | What makes the man lose balance and drop off the ladder? | the man falls off the ladder
a skater near the rail | Why does the skater tumble after grinding the rail? | the skater grinds the rail and falls
a cat at a fish bowl | How does the cat knock the bowl over with its paw? | the cat tips over the bowl with a paw
a couple under clouds | What happens when rain pours down and they open an umbrella? | it starts raining and the couple opens an umbrella
a rocket on a pad | Describe how the rocket lifts off with a cloud of smoke. | the rocket takes off in a cloud of smoke
a magician with a hat | A rabbit comes out of the hat next, does it not? | a rabbit is pulled out of the hat
a baker with eggs | Should I crack the eggs, whisk them, then fold in the flour? | crack and whisk the eggs and fold in flour
a hand with a drill | With flour on the table, is it time: screw, glue, clamp the joint? | glue and clamp the joint and screw it
a florist | On the floor lie pieces after the vase, dropped, broke: why? | the vase is dropped and breaks into pieces on the floor
a couple at an altar | When they kiss, what do the guests do? | they kiss and the guests applaud
a player before a basket | After the ball swishes through the net, how does he react? | the ball swishes through the net and he raises his arms
a bridge and a truck | Does the bridge collapse under the truck? | the bridge collapses under the truck
a dam | Is the dam going to break and flood the valley? | the dam breaks and water floods the valley
a wasp and a man | Does the man get stung? | the wasp stings the man
a pan with popcorn | Will the corn pop? | the corn pops
a firework | What colour is the burst of sparks in the sky? | the firework bursts into sparks in the sky
a snowman in spring | How long until the snowman has melted to a puddle? | the snowman melts into a puddle
a volcano | How high does the lava shoot when the volcano erupts? | the volcano erupts and lava shoots up
an egg | Which side of the egg cracks so that the chick hatches? | the egg cracks and a chick hatches
a tree and an axe | In which direction does the chopped tree fall? | the tree falls after being chopped
a printer | What colour is the jammed paper that the printer spits out? | the printer jams and spits out paper
`);
/** Written after that, and counted before anything was mended by them: 38 of 40 were found, and no clean one. */
const HELD_OUT_LEAKS = samples(`
a beekeeper lifts a frame | Should the honey now get scraped off the comb with a knife? | scrape the honey off the comb with a knife
a shepherd opens a gate | Will the sheep be running out onto the meadow? | the sheep run out onto the meadow
a kid with a marble run | Do the marbles roll down the track and drop in the tray? | the marbles roll down the track into the tray
a hand over a light switch | Is the lamp about to light up? | the lamp lights up
a dentist bends over | Once the tooth has been pulled, what does the patient do? | the dentist pulls the tooth and the patient rinses
a diver on a board | Does she dive into the pool with a somersault? | she somersaults and dives into the pool
a bottle of cola and mints | How far does the foam shoot out of the bottle? | foam shoots out of the bottle
a mother with a crying baby | Is the baby soothed when rocked in her arms? | she rocks the baby in her arms until it is calm
a fisherman with a rod | Was a fish hooked and reeled in? | he hooks a fish and reels it in
a potter at a wheel | Do I now fire the bowl in the kiln? | the bowl is fired in the kiln
a robot arm | Will the gripper seize the cube and set it in the box? | the gripper grabs the cube and places it in the box
a biker at a ramp | Would the rider crash when landing off the ramp? | the rider lands badly off the ramp and crashes
a cook with rice | Are the grains rinsed under cold water next? | rinse the rice grains under cold water
a house in a storm | Does the gale rip the roof from the house? | the storm tears off the roof
a lamp post and a car | Is the car hitting the lamp post? | the car collides with the lamp post
a girl with a present | Does she unwrap the gift and find a doll? | she opens the present and a doll is inside
a barber | Are the sides of his hair going to be shaved? | the barber shaves the sides of the hair
a squirrel under a feeder | Will the squirrel climb up and steal the seeds? | the squirrel climbs the pole and takes the seeds
a waiter with a tray | Is the waiter stumbling so that the plates smash? | the waiter trips and the plates break
a plumber under a sink | Next I tighten the nut with a wrench, or not? | tighten the nut with the wrench
an avalanche slope | Could snow slide down and bury the hut? | the snow slides down and buries the hut
a photographer | Is everyone going to smile and pose? | everybody poses and smiles
a soldering iron | After the iron has melted the tin onto the joint, what comes? | melt tin onto the joint with the iron
a toaster | Will smoke rise from the burnt toast? | the toast burns and smoke rises
a man and a fence | Once he leaps across the fence, where does he land? | he jumps over the fence
a ship and an iceberg | What does the crew do as the ship sinks? | the ship sinks and the crew takes to the boats
a gymnast | Will the gymnast do a backflip on the beam? | she does a backflip on the beam
a cocoon | Which colours has the butterfly that hatches from the cocoon? | a butterfly hatches from the cocoon
a sewing kit | Is threading the needle what I must do? | thread the needle
a cake | Is the cream spread over the cake and decorated with berries? | spread cream on the cake and put berries on top
a wood stove | Should logs be stacked in the stove and kindled? | stack the logs in the stove and light them
a laptop | Are the screws removed to open the back cover? | remove the screws and open the back cover
a tent | Do I hammer in the pegs now to fix the ropes? | fix the ropes with pegs, using a hammer
a river | Does the crocodile snap at the antelope? | the crocodile bites the antelope
a bowling lane | Will all ten pins be knocked over by the ball? | the ball knocks down all ten pins
a chess board | Does white capture the queen with the bishop? | white takes the queen with the bishop
a snow road | Is the van going to get stuck in the snow? | the van gets stuck in the snow
a kite | Will the string snap and the kite drift away? | the string breaks and the kite flies away
a barrel | Is wine drawn from the barrel into a glass? | he draws wine from the barrel into a glass
a seesaw | Will the lighter child be flung into the air? | the light child is thrown into the air
`);
/** Leaks beside the question. */
const ELSEWHERE: readonly LeakSubject[] = [
  { question: "What happens in the second clip?", reasoning: REASONING, caption: "a man waves" },
  { question: "Given video 2, what is next?", reasoning: REASONING, caption: "a man waves" },
  {
    question: "What should I do?",
    reasoning: "As seen in the output video, the eggs are fried.",
    caption: "fry the eggs",
  },
  { question: "What should I do?", reasoning: "The second video shows the frying.", caption: "fry the eggs" },
  {
    question: "What should I do?",
    reasoning: "In the target clip the person fries.",
    caption: "fry the eggs",
  },
  {
    question: "What should I do?",
    reasoning: "The later footage confirms that she waves.",
    caption: "she waves",
  },
  {
    question: "What should I do?",
    reasoning: "The following clip reveals her waving.",
    caption: "she waves",
  },
  { question: "What should I do?", reasoning: "The output frames show the answer.", caption: "she waves" },
  {
    question: "What should I do?",
    reasoning: "As the second set of frames shows, she waves.",
    caption: "she waves",
  },
  {
    inputLabel: "fry the eggs in the pan",
    question: "What next?",
    reasoning: REASONING,
    caption: "the eggs are fried in the pan",
  },
  {
    inputLabel: "the balloon bursts",
    question: "What happens?",
    reasoning: REASONING,
    caption: "the balloon pops",
  },
  {
    question: "I have done: add salt. What next?",
    reasoning: REASONING,
    caption: "salt is added",
    skippedSteps: ["add salt"],
  },
  {
    question: "What next?",
    reasoning: REASONING,
    caption: "slicing the bread",
    skippedSteps: ["toast", "cut the bread"],
  },
  {
    inputLabel: "stir",
    outputLabel: "add the noodles",
    question: "Are the noodles put in now?",
    reasoning: REASONING,
    caption: "she drops pasta into the broth",
  },
  {
    inputLabel: "stir",
    outputLabel: "close the lid",
    question: "Do I shut the lid now?",
    reasoning: REASONING,
    caption: "the cooker is covered",
  },
  {
    question: "Is the kite torn by the tree?",
    reasoning: REASONING,
    caption: "the kite gets damaged",
    paraphrases: ["the tree tears the kite"],
  },
  {
    question: "Wird der Ballon platzen und in Stücke fallen?",
    reasoning: REASONING,
    caption: "der Ballon platzt und Stücke fallen",
  },
  { question: "他会打破杯子吗", reasoning: REASONING, caption: "他打破杯子" },
  {
    question: "Упадёт ли стакан на пол и разобьётся?",
    reasoning: REASONING,
    caption: "стакан упадёт на пол и разобьётся",
  },
];
const CLEAN = samples(`
a chef holds a whole carrot | I have washed the carrot. What should I do next? | slice the carrot into thin rounds
a child stacks blocks | What happens if one more block is added? | the tower topples onto the rug
a gardener digs a hole | The hole is deep enough. What now? | plant the seedling in the hole
a kettle stands on a stove | What happens if the stove stays on? | the kettle whistles and steam rises
a boy holds a stone by a window | What could happen if he throws the stone? | the stone smashes the window
a goalkeeper waits | What if the striker shoots at the corner? | the keeper dives and catches the ball
a baker kneads dough | I kneaded the dough. How do I go on? | roll the dough flat with a pin
a balloon near a cactus | What happens if the wind blows the balloon to the cactus? | the balloon bursts
a glass at the edge of a table | What happens if someone bumps the table? | the glass falls to the floor and breaks
a candle in the wind | What happens if the wind gets stronger? | the flame goes out
a toddler without a toy | What will the toddler do if the toy is not given back? | the child cries loudly
a puppy at a fence | What happens if it sees a cat on the other side? | the dog jumps over the fence
ice cubes in the sun | What happens if the tray stays in the sun? | the ice cubes melt into water
a carpenter measures a plank | The line is drawn. What is the next step? | cut the plank along the line with a saw
a cook with raw potatoes | I peeled the potatoes. What do I do with them? | boil the potatoes in salted water
a car on ice | What could happen if the driver brakes hard? | the car slides and strikes the guardrail
two boxers in a ring | What happens if the one in red finds a gap? | he lands a punch and his opponent falls
a runner before the line | How does this race end for her? | she crosses the line first and wins
a woman mixes batter | I mixed the batter. What next? | pour the batter into a tin and bake it
a mechanic with a flat wheel | The car is jacked up. What now? | remove the wheel and mount the spare one
a barista grinds beans | The coffee is ground. What is my next step? | tamp the coffee and lock the handle into the machine
a tailor with cloth | The edge is pinned. How do I continue? | sew along the pinned edge with the machine
a man with a ladder | What happens if he leans out too far? | the man falls off the ladder
a cat at a fish bowl | What happens if the cat reaches for the fish? | the cat tips over the bowl with a paw
a couple under clouds | What will the couple do if it rains? | they open an umbrella and run to a tree
a rocket on a pad | What happens when the count reaches zero? | the rocket takes off in a cloud of smoke
a magician with a hat | What does the magician do with the hat? | he pulls a rabbit out of it
a bridge and a truck | What happens if the truck is too heavy for the bridge? | the bridge collapses
a pan with popcorn | What happens if I keep heating the pan? | the corn pops
an egg | What will we see if we wait some days? | the egg cracks and a chick hatches
a tree and an axe | What happens after a few more strokes of the axe? | the tree falls
a cook cracks an egg into a bowl | I cracked the egg into the bowl. What should I do with the egg now? | whisk the egg with a fork
a hand screws a shelf to a wall | The shelf is on the wall. What do I put up next? | hang a picture above the shelf
a dog looks at a ball | What will the dog do if the ball is thrown? | the dog runs after the ball
a girl on a swing | What could happen if she lets go of the ropes? | she falls off the swing into the sand
a person cuts paper | I cut the paper. What do I do with the paper pieces? | glue the paper pieces on the card
a man fills a bucket | The bucket is full of water. What now? | carry the bucket to the car and wash it
a cyclist near a pothole | What happens if the cyclist does not see the hole? | the wheel hits the hole and the cyclist falls
a pot of soup on a stove | The soup is boiling. What should I do next? | turn down the heat and add the herbs
a woman paints a chair | One coat of paint is on the chair. What comes next? | let the chair dry and paint a second coat
a match near paper | What happens if the match touches the paper? | the paper catches fire and burns
a boy with a slingshot | What happens if he hits the bottle? | the bottle breaks into pieces
someone opens a tap over a glass | What happens if nobody closes the tap? | the water overflows the glass
a hand holds a key at a lock | What happens if the key is turned? | the door opens
a cook with dough and a rolling pin | What do I do with the rolling pin? | roll out the dough to a thin sheet
a chain of dominoes | What happens if the first domino is tipped? | the dominoes fall one after another
a worker with a jackhammer | What will happen to the pavement? | the concrete cracks and breaks apart
a driver approaches a red light | What should the driver do? | he brakes and stops at the line
a football near a window | What if the ball flies towards the house? | a window pane shatters
a plant with dry soil | What happens if it is not watered for a week? | its leaves droop and turn brown
a beekeeper lifts a frame | The frame is out of the hive. What do I do with it? | scrape the honey off the comb with a knife
a shepherd opens a gate | What happens once the gate is open? | the sheep run out onto the meadow
a kid with a marble run | What happens if the marbles are let go at the top? | they roll down the track into the tray
a hand over a light switch | What happens if the switch is flipped? | the lamp lights up
a dentist bends over | What does the dentist do with the bad tooth? | he numbs the gum and drills
a diver on a board | What will she do when the whistle blows? | she somersaults into the pool
a bottle of cola and mints | What if a mint is dropped into the bottle? | foam shoots out
a potter at a wheel | The bowl is dry. What should I do next? | fire the bowl in the kiln
a robot arm | The arm is above the cube. What does it do now? | the gripper grabs the cube and places it in the box
a biker at a ramp | What could go wrong if he goes too fast? | the rider lands badly and crashes
a cook with rice | I measured one cup of rice. What do I do before cooking? | rinse the rice grains under cold water
a house in a storm | What could happen if the storm gets worse? | the wind tears off the roof
a girl with a present | What will the girl do with the present? | she opens it and finds a doll
a waiter with a tray | What happens if the waiter does not see the step? | he trips and the plates break
a plumber under a sink | The new pipe is in place. What is the next step? | tighten the nut with the wrench
a toaster | What happens if the bread stays in for too long? | the toast burns and smoke rises
a man and a fence | The man runs towards the fence. What next? | he jumps over it
a ship and an iceberg | What happens if the ship does not turn? | its hull is ripped open and water pours in
a cocoon | What happens after two weeks? | a butterfly hatches
a cake | The cake has cooled. How do I finish the cake? | spread cream on it and put berries on top
a wood stove | I want a warm room. What should I do with the logs? | stack them in the stove and light them
a laptop | I turned the laptop over. What now? | remove the screws and open the back cover
a tent | The poles are up. What is left to do? | fix the ropes with pegs, using a hammer
a river | What happens if the antelope comes closer to drink? | the crocodile bites it
a bowling lane | What happens if the ball goes straight? | it knocks down all ten pins
a snow road | What happens if the van drives on? | the van gets stuck in the snow
a kite | What happens if the wind is too strong for the string? | the string breaks and the kite flies away
a seesaw | What happens if a heavy man jumps on the other side? | the child is thrown into the air
a baker cuts butter | I cut the butter into cubes. What do I do with the cubes? | rub the butter cubes into the flour
a knife and a tomato | The tomato is washed. What should I do with the knife? | cut the tomato in half
`);

/** Samples that leak. */
export const WRITTEN_LEAKS: readonly LeakSubject[] = [...SEEN_LEAKS, ...HELD_OUT_LEAKS, ...ELSEWHERE];

/** Samples that do not. */
export const WRITTEN_CLEAN: readonly LeakSubject[] = CLEAN;
