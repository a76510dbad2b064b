"""Reads what `vans data` writes with the readers that people use: Hugging Face `datasets` and `webdataset`.

    pip install datasets webdataset
    vans world make --seed 100 --count 12 --out out/samples
    vans data export out/samples --to huggingface --out out/hub --shard-samples 5
    vans data export out/samples --to webdataset --out out/tars --shard-samples 5
    vans data export out/samples --to shards --out out/shards --shard-samples 5
    python bench/peers/data_readers.py --folder out/samples --shards out/shards --hub out/hub --tars out/tars

Each form must give the same rows, and the clips of `hub` and `tars` the bytes of the files. Exits 1 where one does not.
"""

import argparse
import glob
import json
import os
import sys

TEXTS = ("id", "kind", "source", "licence", "split", "question", "reasoning", "caption")
JSONS = ("skipped_steps", "scores", "reasons", "paraphrases", "wrong_events")


def plain(value):
    """JSON columns come as text from older versions of `datasets`, as values from newer ones."""
    return json.loads(value) if isinstance(value, str) else value


def clip_bytes(folder, row, side):
    with open(os.path.join(folder, row[side]), "rb") as file:
        return file.read()


def same_row(name, wanted, given):
    for column in TEXTS + ("seed",):
        assert given[column] == wanted[column], (name, wanted["id"], column, given[column])
    for column in JSONS:
        assert plain(given[column]) == plain(wanted[column]), (name, wanted["id"], column, given[column])


def main():
    parser = argparse.ArgumentParser()
    for name in ("folder", "shards", "hub", "tars"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    import datasets

    datasets.disable_progress_bars()
    rows = list(datasets.load_dataset(args.folder, split="samples"))
    assert rows, "no rows"
    print(f"datasets {datasets.__version__}, folder: {len(rows)} rows, columns {sorted(rows[0])}")
    by_id = {row["id"]: row for row in rows}

    if args.shards:
        others = list(datasets.load_dataset(args.shards, split="samples"))
        assert len(others) == len(rows)
        for row in others:
            same_row("shards", by_id[row["id"]], row)
        print(f"shards: {len(others)} rows, all the same")

    if args.hub:
        hub = datasets.load_dataset(args.hub)
        print(f"hub: {hub}")
        features = next(iter(hub.values())).features
        assert type(features["input"]).__name__ == "Video", features["input"]
        count = 0
        for split in hub.values():
            raw = split.cast_column("input", datasets.Video(decode=False)).cast_column("output", datasets.Video(decode=False))
            for row in raw:
                same_row("hub", by_id[row["id"]], row)
                for side in ("input", "output"):
                    assert row[side]["bytes"] == clip_bytes(args.folder, by_id[row["id"]], side), (row["id"], side)
                count += 1
        assert count == len(rows)
        print(f"hub: {count} rows with clips, all the same bytes")
        streamed = next(iter(datasets.load_dataset(args.hub, streaming=True).values()))
        streamed = streamed.cast_column("input", datasets.Video(decode=False)).cast_column("output", datasets.Video(decode=False))
        assert sum(1 for _ in streamed) > 0
        print("hub: streams")
        try:
            clip = next(iter(next(iter(hub.values()))))["input"]
            print(f"hub: a decoded clip has {len(clip)} frames of {tuple(clip[0].shape)}")
        except (ImportError, RuntimeError, OSError) as error:
            print(f"hub: clips were not decoded here ({str(error).splitlines()[0]})")

    if args.tars:
        import webdataset

        urls = sorted(glob.glob(os.path.join(args.tars, "*.tar")))
        count = 0
        for sample in webdataset.WebDataset(urls, shardshuffle=False):
            row = json.loads(sample["json"])
            same_row("webdataset", by_id[row["id"]], row)
            assert sample["input.mp4"] == clip_bytes(args.folder, row, "input"), row["id"]
            assert sample["output.mp4"] == clip_bytes(args.folder, row, "output"), row["id"]
            count += 1
        assert count == len(rows)
        print(f"webdataset: {count} samples in {len(urls)} shards, all the same bytes")
        tars = datasets.load_dataset("webdataset", data_files={"train": urls}, split="train", streaming=True)
        assert sum(1 for _ in tars.decode(False)) == len(rows)
        print("webdataset: read by datasets, too")


if __name__ == "__main__":
    sys.exit(main())
