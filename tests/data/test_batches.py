from __future__ import annotations

from collections import Counter

from gan_caption.data.batches import CaptionBatches, without_unknown
from gan_caption.data.captions import EOS, UNK

# Image i has captions of the words 10 i, 10 i + 1 ...: whose caption it is can be read off.
CAPTIONS = [[[10 * image + number + 10, EOS] for number in range(5)] for image in range(7)]


def batches(seed=0, captions=CAPTIONS, per_image=5):
    return CaptionBatches(captions, images=3, captions_per_image=per_image, seed=seed)


def test_an_epoch_holds_every_image_and_caption_once():
    made = batches()
    assert len(made) == 3
    words = Counter()
    rows = []
    for step in range(3):
        batch = made.at(step)
        rows += batch.rows
        words.update(batch.captions.tokens[:, 0].tolist())
    assert sorted(rows) == list(range(7))
    assert words == Counter(10 * image + number + 10 for image in range(7) for number in range(5))


def test_every_caption_belongs_to_its_image():
    made = batches(per_image=2)
    for step in range(9):
        batch = made.at(step)
        assert batch.captions.images.tolist() == sorted(batch.captions.images.tolist())
        for word, image in zip(batch.captions.tokens[:, 0].tolist(), batch.captions.images.tolist(), strict=True):
            assert (word - 10) // 10 == batch.rows[image]


def test_the_order_is_a_function_of_seed_and_epoch():
    forwards = [batches().at(step).rows for step in range(9)]
    made = batches()
    assert [made.at(step).rows for step in reversed(range(9))] == forwards[::-1]
    assert forwards[:3] != forwards[3:6]
    assert forwards != [batches(seed=1).at(step).rows for step in range(9)]


def test_images_with_fewer_captions_give_what_they_have():
    uneven = [CAPTIONS[0][:1], [], *CAPTIONS[2:]]
    made = batches(captions=uneven, per_image=3)
    rows = [row for step in range(len(made)) for row in made.at(step).rows]
    assert sorted(rows) == [0, 2, 3, 4, 5, 6]
    assert sum(len(made.at(step).captions) for step in range(len(made))) == 1 + 5 * 3


def test_captions_with_unknown_words_are_kept_from_the_discriminator():
    assert list(without_unknown([[[4, EOS], [UNK, EOS]], [[UNK, UNK]]])) == [[[4, EOS]], []]
