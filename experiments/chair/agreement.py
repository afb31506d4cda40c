"""How often the objects of a caption are those that CHAIR's published list and rules find. See README.md."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from gan_caption.data.flickr8k import Flickr8k
from gan_caption.metrics import ptb_tokenize
from gan_caption.metrics.coco_objects import objects, singular
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
DOUBLE = (
    "motor bike", "motor cycle", "air plane", "traffic light", "street light", "traffic signal", "stop light",
    "fire hydrant", "stop sign", "parking meter", "suit case", "sports ball", "baseball bat", "baseball glove",
    "tennis racket", "wine glass", "hot dog", "cell phone", "mobile phone", "teddy bear", "hair drier", "potted plant",
    "bow tie", "laptop computer", "home plate",
)  # fmt: skip
"""The names of two words of the published rules."""
ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub")
IRREGULAR = {
    "children": "child", "people": "person", "feet": "foot", "mice": "mouse", "geese": "goose", "calves": "calf",
    "wives": "wife", "knives": "knife", "oxen": "ox", "skies": "sky", "tvs": "tv", "suvs": "suv",
}  # fmt: skip
"""Of what the published rules' library knows and ours does not."""


def published(synonyms: Path) -> dict[str, str]:
    """Return the category of every published name."""
    rows = [[name.strip() for name in line.split(",")] for line in synonyms.read_text().splitlines() if line.strip()]
    return {name: row[0] for row in rows for name in row}


def _singular(word: str) -> str:
    """Return the singular, as the published rules have it before they look a word up."""
    return f"{word[:-3]}man" if word.endswith("men") else IRREGULAR.get(word, singular(word))


def by_published_rules(caption: str, names: dict[str, str]) -> list[str]:
    """Return the categories that a caption names by the published list and rules, in order."""
    kept = {name: name for name in DOUBLE} | {f"{age} {one}": one for age in ("baby", "adult") for one in ANIMALS}
    kept |= {f"passenger {one}": one for one in ("jet", "train")} | {"bow tie": "tie", "toilet seat": "toilet"}
    words = [_singular(word) for word in caption.split()]
    found, place = [], 0
    while place < len(words):
        both = kept.get(" ".join(words[place : place + 2]))
        found.append(both or words[place])
        place += 2 if both else 1
    if "toilet" in found:
        found = [word for word in found if word != "seat"]
    return [names[word] for word in found if word in names]


def main(synonyms: str, root: str) -> None:
    names = published(Path(synonyms))
    corpus = Flickr8k(root=root, skip_missing=True)
    captions = ptb_tokenize([text for part in ("train", "val") for item in corpus.split(part).items
                             for text in item.captions])  # fmt: skip
    ours_alone: Counter[tuple[str, str]] = Counter()
    alike = 0
    for caption in captions:
        ours, theirs = Counter(objects(caption)), Counter(by_published_rules(caption, names))
        alike += ours == theirs
        for category in ours.keys() | theirs.keys():
            if ours[category] != theirs[category]:
                ours_alone[category, "ours" if ours[category] > theirs[category] else "published"] += 1
    rows = [["category", "named by", "captions"]]
    rows += [[category, who, str(count)] for (category, who), count in ours_alone.most_common(15)]
    told = f"{alike} of {len(captions)} captions ({alike / len(captions):.1%}) have the same objects. Where not:"
    (HERE / "table.md").write_text(f"{told}\n\n{markdown(rows)}\n")
    print(f"{told}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
