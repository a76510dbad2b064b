/**
 * `vans data import FORMAT`: public annotations into a folder that can be curated.
 * @module
 */
import { Argument, Command, Option } from "@commander-js/extra-typings";
import { VansError } from "../base/errors.ts";

const FORMATS = ["coin", "youcook2", "activitynet", "vans-csv", "videos"] as const;

const HELP = `
Formats:
  coin         COIN.json: database.<id>.annotation[].{id, label, segment}
  youcook2     youcookii_annotations_trainval.json: database.<id>.annotations[].{sentence, segment}
  activitynet  ActivityNet Captions: <id>.{timestamps, sentences}
  vans-csv     released VANS-Data tables: name, ENG_Instruction, ENG_GT_Caption, input_video_path, output_video_path
  videos       a folder of videos without annotations; shots are looked for

Rows that cannot be used are skipped and counted; import-skipped.jsonl says why.

Examples:
  vans data import coin --annotations COIN.json --videos coin/ --licence CC-BY-NC-4.0 --out work/coin
  vans data import videos --videos films/ --out work/films`;

/** The command `data import`. */
export function importCommand() {
  return new Command("import")
    .description("read public annotations, or a folder of videos, into a folder that can be curated")
    .addArgument(new Argument("<format>", "form of the annotations").choices(FORMATS))
    .requiredOption("--videos <dir>", "folder of the videos (or clips)")
    .requiredOption("--out <dir>", "folder of the dataset to be")
    .option("--annotations <file>", "the annotations; all formats but `videos` need them")
    .option("--licence <name>", "licence of the videos, written into every sample", "unknown")
    .option("--split <name>", "split of all videos (default: what the annotations say, else train)")
    .addOption(
      new Option("--kind <kind>", "kind of the samples (default: the format's)").choices([
        "procedural",
        "predictive",
      ] as const),
    )
    .option("--json", "the report as JSON", false)
    .addHelpText("after", HELP)
    .action(async (format, { videos, out, annotations, licence, split, kind, json }) => {
      const { importItems, writeImport } = await import("../data/index.ts");
      if (annotations === undefined && format !== "videos") {
        throw new VansError("VANS_DATA_IMPORT_UNREADABLE", `the format ${format} needs annotations`, {
          fix: "give --annotations FILE",
        });
      }
      const settings = { annotations: annotations ?? "", videos, licence, split, kind };
      const report = await writeImport(out, format, importItems(format, settings));
      if (json) {
        console.log(JSON.stringify(report));
        return;
      }
      console.log(`${report.videos} videos with ${report.steps} steps in ${out}`);
      console.log(`${report.skipped} skipped, ${report.mended} mended`);
      for (const [reason, count] of Object.entries(report.reasons)) console.log(`  ${reason}: ${count}`);
    });
}
