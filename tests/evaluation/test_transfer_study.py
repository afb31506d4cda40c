"""The study of transfer: Flickr8k divided by topic."""

from __future__ import annotations

import pytest
from PIL import Image

from experiments.transfer.run import PAGES, PHOTOGRAPHS, SHARED, UPDATES, smallest_effects
from experiments.transfer.topics import topic_of, write_topics
from gan_caption.errors import UserError
from gan_caption.training.setup import check_configuration
from tests.tiny_runs import composed, part

PEOPLE = ("A man runs .", "Two women talk .", "A boy in red .", "Somebody runs .", "A field .")
ANIMALS = ("A dog runs .", "Two dogs .", "A brown horse .", "Somebody runs .", "A field .")


@pytest.mark.parametrize(
    ("captions", "topic"),
    [
        (PEOPLE, "people"),
        (ANIMALS, "animals"),
        ((*PEOPLE[:2], *PEOPLE[3:]), None),  # two of four
        ((*PEOPLE[:4], "A man and his dog ."), None),
        (("A field .",) * 5, None),
    ],
)
def test_the_topic_of_an_image_by_its_captions(captions, topic):
    assert topic_of(captions) == topic


@pytest.fixture
def flickr8k(tmp_path):
    root = tmp_path / "flickr8k"
    (root / "Flicker8k_Dataset").mkdir(parents=True)
    rows, names = [], [f"{row}.jpg" for row in range(20)]
    for row, name in enumerate(names):
        Image.new("RGB", (8, 8)).save(root / "Flicker8k_Dataset" / name)
        rows += [f"{name}#{index}\t{text}\n" for index, text in enumerate((PEOPLE, ANIMALS)[row % 2])]
    (root / "Flickr8k.token.txt").write_text("".join(rows))
    (root / "Flickr_8k.trainImages.txt").write_text("".join(f"{name}\n" for name in names[:14]))
    (root / "Flickr_8k.devImages.txt").write_text("".join(f"{name}\n" for name in names[14:]))
    return root


def test_each_topic_is_a_flickr8k_of_its_own_divided_by_the_seed(tmp_path, flickr8k):
    def divided(folder, seed):
        write_topics(flickr8k, tmp_path / folder, seed=seed, train=None, sizes={"test": 3, "val": 2})
        corpora = {topic: part("data/flickr8k", root=str(tmp_path / folder / topic)) for topic in ("people", "animals")}
        return {
            topic: {name: [item.image_id for item in corpus.split(name).items] for name in ("train", "val", "test")}
            for topic, corpus in corpora.items()
        }

    found = divided("one", 0)
    for topic, parity in (("people", 0), ("animals", 1)):
        splits = found[topic]
        assert [len(splits[name]) for name in ("train", "val", "test")] == [5, 2, 3]
        every = [name for own in splits.values() for name in own]
        assert sorted(every) == sorted(f"{row}.jpg" for row in range(parity, 20, 2)), "each image once, of its topic"
    assert divided("again", 0) == found
    assert divided("other", 1) != found


def test_a_topic_without_images_is_told(tmp_path, flickr8k):
    with pytest.raises(UserError, match="10 images are of people, and 700 are for tests"):
        write_topics(flickr8k, tmp_path / "topics", seed=0, train=None)


@pytest.mark.parametrize("home", [("data=scenes_unseen",), ("data=flickr8k", "data.root=there", *PHOTOGRAPHS)])
@pytest.mark.parametrize("page", PAGES)
def test_every_run_of_the_full_study_is_a_configuration(page, home):
    check_configuration(composed(f"+experiment={page}", "pretrained=base", *home, *SHARED, *UPDATES))


def test_the_smallest_effect_is_2_8_standard_errors():
    row = {"metric": "cider_d", "system": "nsc", "more_than_baseline": {"interval": [-0.196, 0.196]}}
    told = smallest_effects({"losses": [row, {**row, "metric": "bleu_4", "system": "chen"}]}, "cider_d")
    assert "0.2800" in told
    assert "chen" not in told
