"""Words and document frequencies of the first captions of shards, in a process of its own: its time and its memory.

python -m experiments.streaming.counter FOLDER CACHE COUNT words|disk|memory
"""

from __future__ import annotations

import json
import sys
import time

from experiments.speed.growth.point import resident
from experiments.streaming.opening import opened
from gan_caption.metrics import DocumentFrequencies
from gan_caption.text.words import WordTokenizer


def main(folder: str, cache: str, count: int, what: str) -> None:
    items = opened(folder, cache).items
    before, start = resident("VmHWM"), time.perf_counter()
    captions = (list(items[row].captions) for row in range(count))
    if what == "words":
        found = len(WordTokenizer(min_count=5).learn(text for own in captions for text in own))
    elif what == "disk":
        found = sum(map(len, DocumentFrequencies.of_many(captions).counts))
    else:
        found = sum(map(len, DocumentFrequencies.of(list(captions)).counts))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "megabytes": resident("VmHWM") - before, "found": found}))


if __name__ == "__main__":
    folder, cache, count, what = sys.argv[1:]
    main(folder, cache, int(count), what)
