"""Token files and lists of images: Flickr8k and Flickr30k."""

from __future__ import annotations

import tempfile
from pathlib import Path

from experiments.fuzzing.refusals import reading
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.data.flickr30k import Flickr30k

READERS = {"Flickr8k", "Flickr30k"}
HOME = Path(tempfile.mkdtemp())
TOKENS = HOME / "tokens"
LISTS = HOME / "lists"
for images in (TOKENS / "Flicker8k_Dataset", LISTS / "flickr30k-images"):
    images.mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (images / name).touch()
(TOKENS / "Flickr_8k.trainImages.txt").write_text("a.jpg\nb.jpg\n")
(LISTS / "results_20130124.token").write_text("a.jpg#0\tA dog runs .\nb.jpg#0\tTwo girls .\n")


def seeds() -> dict[str, bytes]:
    return {
        "tokens": b"a.jpg#0\tA dog runs .\na.jpg#1\tA brown dog .\nb.jpg#0\tTwo girls swim .\n",
        "names": b"a.jpg\nb.jpg\n",
        "windows": b"\xef\xbb\xbfa.jpg#0\tA dog .\r\nb.jpg#0\tTwo girls .\r\n",
        "one_long_line": b"a.jpg#0\t" + b"dog " * 750_000,
        "one_long_name": b"x" * 3_000_000,
        "many_digits": b"a.jpg#" + b"9" * 10_000 + b"\tA dog\n",
        "many_captions_of_one_image": b"".join(b"a.jpg#%d\tx\n" % number for number in range(100_000)),
        "many_parts": b"/".join([b"a"] * 300_000) + b"#0\tA dog\n",
    }


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    (TOKENS / "Flickr8k.token.txt").write_bytes(data)
    with reading("Flickr8k", taken):
        assert all(item.captions for item in Flickr8k(root=str(TOKENS), skip_missing=False).split("train").items)
    (LISTS / "train.txt").write_bytes(data)
    with reading("Flickr30k", taken):
        assert all(
            item.captions
            for item in Flickr30k(root=str(LISTS), annotations=None, skip_missing=False).split("train").items
        )
    return taken
