"""CHAIR on captions whose objects were counted by hand, and on data in COCO's form."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.outlined import read_instances, read_list, read_outlined
from gan_caption.errors import UserError
from gan_caption.evaluation.scores import score
from gan_caption.metrics import DocumentFrequencies, Predictions
from gan_caption.metrics.bootstrap import image_interval, image_weights, paired_difference
from gan_caption.metrics.chair import chair, hallucinated, named_in
from gan_caption.metrics.coco_objects import categories, objects
from gan_caption.metrics.metric import in_order
from gan_caption.metrics.nouns import unsupported_nouns
from gan_caption.score import main
from tests.data.test_coco import add_image, number, official, write
from tests.tiny_runs import part

NAMED = {
    "two men ride motorcycles past a fire truck": ["person", "motorcycle", "truck"],
    "a dog with a frisbee in its mouth": ["dog", "frisbee"],
    "a hot dog on a table": ["hot dog", "dining table"],
    "a baby bird in its nest": ["bird"],
    "an adult cat and a kitten": ["cat", "cat"],
    "a passenger jet at the airport": ["airplane"],
    "the passenger of a bus": ["person", "bus"],
    "a toilet seat": ["toilet"],
    "a girl in an orange shirt peels an orange .": ["person", "orange"],
    "a bowl of oranges": ["bowl", "orange"],
    "children wait at the bus stop": ["person"],
    "people skiing down a slope": ["person"],
    "a pair of skis against the train station": ["skis"],
    "wine glasses , knives and scissors": ["wine glass", "knife", "scissors"],
    "a teddy bear beside a polar bear": ["teddy bear", "bear"],
    "a man wears a bow tie": ["person", "tie"],
    "nothing to see": [],
    "": [],
    "geese and mice": ["bird", "mouse"],
    "two policemen , a fireman and their wives": ["person", "person", "person"],
    "labradors on loveseats before tvs": ["dog", "couch", "tv"],
    "suvs , firetrucks and iphones": ["car", "truck", "cell phone"],
    "a plane in cloudy skies": ["airplane"],
    "calves , loaves and leaves": ["cow"],
    "a double decker bus passes taxi cabs": ["bus", "car"],
    "a jet plane and a baby boy": ["airplane", "person"],
    "benches , couches and buses": ["bench", "couch", "bus"],
}


@pytest.mark.parametrize(("caption", "expected"), NAMED.items())
def test_the_objects_of_captions(caption, expected):
    assert objects(caption) == expected


def test_all_80_categories_name_themselves():
    known = categories()
    assert len(known) == 80
    assert [objects(f"the {name} .") for name in known] == [[name] for name in known]


CAPTIONS = ["a dog and a cat on a couch", "a man", "the sky"]
REFERENCES = [["a dog on a sofa", "a puppy sleeps"], ["a tree", "two trees"], ["a blue sky", "clouds"]]
SAMPLES = [["a cat", "a dog"], ["a woman on a horse", "a tree"], ["sky", "blue"]]
IDS = ["1", "2", "3"]


def predictions():
    return Predictions(CAPTIONS, SAMPLES, REFERENCES, DocumentFrequencies.of(REFERENCES), image_ids=IDS)


def test_by_references_by_hand():
    """Named: dog, cat, couch; person; nothing. Of them cat and person are in no reference."""
    told = {one.name: one.function(predictions()) for one in chair()}
    assert told["chair_references_i"].corpus == pytest.approx(2 / 4)
    assert told["chair_references_s"].corpus == pytest.approx(2 / 3)
    assert told["chair_references_i"].per_image == pytest.approx([1 / 3, 1, 0])
    # Samples name cat, dog; person, horse; nothing: cat, person and horse are not told of.
    assert told["sample_chair_references_i"].corpus == pytest.approx(3 / 4)
    assert told["sample_chair_references_s"].corpus == pytest.approx(2 / 6)


def test_what_is_outlined_is_there_too():
    told = {one.name: one.function(predictions()) for one in chair(lambda: {"1": {"cat"}, "2": set(), "3": {"bird"}})}
    assert told["chair_i"].corpus == pytest.approx(1 / 4)
    assert told["chair_s"].corpus == pytest.approx(1 / 3)


def test_images_drawn_anew_pool_their_counts():
    counted = hallucinated([[one] for one in CAPTIONS], [{"dog", "couch"}, set(), set()]).of_objects()
    weights = np.array([[3.0, 0, 0], [1, 2, 0], [0, 0, 3]])
    assert counted.resampled(weights) == pytest.approx([3 / 9, 3 / 5, np.nan], nan_ok=True)


def test_where_nothing_is_named_there_is_no_share_and_draws_without_a_name_are_left_out():
    silent = hallucinated([["the sky"], ["clouds"]], [set(), set()]).of_objects()
    assert np.isnan([silent.corpus, *image_interval(silent, image_weights(2))]).all()
    assert chair()[0].shown(silent.corpus) == chair()[0].between(image_interval(silent, image_weights(2))) == "-"
    # One image of three has names, all of them missing: whatever is drawn, the share is 1 or unknown.
    one = hallucinated([["a cat"], ["sky"], ["sky"]], [set(), set(), set()]).of_objects()
    assert image_interval(one, image_weights(3)) == (1, 1)
    told = paired_difference([one], [one])
    assert (told.value, told.interval, told.p) == (0, (0, 0), 1)


def test_people_are_scored_beside_the_others_of_their_image():
    """First captions name a dog and a couch, of which the other names the dog; second ones a dog, which the first does.

    Images without a named object count for CHAIR_s alone.
    """
    humans = score(predictions(), in_order(chair())).humans
    assert humans["chair_references_i"] == pytest.approx((1 / 2 + 0) / 2)
    assert humans["chair_references_s"] == pytest.approx((1 / 3 + 0) / 2)
    assert humans["sample_chair_references_i"] == humans["chair_references_i"]


def test_captions_in_other_languages_name_nothing():
    assert not named_in([["Ein Hund läuft.", "狗在跑"]])
    assert not named_in([["Ein Hund fängt einen Ball."], ["Er läuft."], ["Sie lacht."], ["Es regnet."]])
    assert not named_in([])
    assert named_in([["Ein Hund läuft."], ["The DOGS' bowl."]])


@pytest.fixture
def root(tmp_path):
    """COCO 2017: images 1 in train, 3 and 4 in val, with outlines of val alone."""
    for key, folder in ((1, "train2017"), (3, "val2017"), (4, "val2017")):
        add_image(tmp_path / folder, number(key))
    annotations = tmp_path / "annotations"
    write(annotations / "captions_train2017.json", official({1: number(1)}, [(1, "A dog.")]))
    pairs = [(3, "A cow."), (4, "A cat.")]
    write(annotations / "captions_val2017.json", official({3: number(3), 4: number(4)}, pairs))
    write(annotations / "instances_val2017.json", INSTANCES)
    return tmp_path


INSTANCES = {
    "images": [{"id": key, "file_name": number(key)} for key in (3, 4)],
    "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 3, "category_id": 18}, {"id": 2, "image_id": 3, "category_id": 18}],
}


def test_cocos_outlines_are_taken_where_they_lie_beside_the_captions(root):
    val = part("data/coco", root=str(root)).split("val")
    metric = {one.name: one for one in val.metrics}["chair_i"]
    references = [["a cow ."], ["a cat ."]]
    told = Predictions(["a dog and a cow", "a dog"], (), references, DocumentFrequencies.of(references),
                       image_ids=[item.image_id for item in val.items])  # fmt: skip
    assert metric.function(told).corpus == pytest.approx(1 / 3)
    train = part("data/coco", root=str(root)).split("train")
    assert [one.name for one in train.metrics if one.of == "captions"] == ["chair_references_i", "chair_references_s"]


def test_an_image_that_no_file_of_outlines_has_is_told(root):
    write(root / "annotations" / "instances_val2017.json", {**INSTANCES, "images": INSTANCES["images"][:1]})
    val = part("data/coco", root=str(root)).split("val")
    metric = {one.name: one for one in val.metrics}["chair_i"]
    told = Predictions(["a dog"], (), [["a cow ."]], DocumentFrequencies.of([["a cow ."], ["a cat ."]]),
                       image_ids=[val.items[0].image_id])  # fmt: skip
    with pytest.raises(UserError, match=r"instances_val2017\.json lacks 1 images: "):
        metric.function(told)


def test_instances_by_number(root):
    assert read_outlined(root / "annotations" / "instances_val2017.json") == {"3": {"dog"}, "4": set()}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"images": 5}, "is no file of instances: it lacks a list of images"),
        ({"images": [{"id": "3", "file_name": "a.jpg"}]}, r"images\[0\]: wanted is an entry with id and file_name"),
        (
            {"annotations": [{"id": 1, "category_id": 18}]},
            r"annotations\[0\]: wanted is an entry with image_id",
        ),
        ({"annotations": [{"image_id": 3, "category_id": 99}]}, "no category has the id 99"),
        ({"categories": [{"id": 18, "name": "Hund"}]}, "Hund: no object of COCO's; leave other objects out"),
    ],
)
def test_faults_of_instances_are_named(tmp_path, fault, told):
    write(tmp_path / "instances.json", {**INSTANCES, **fault})
    with pytest.raises(UserError, match=told):
        read_instances((tmp_path / "instances.json",), str)


def test_other_names_of_outlined_objects_are_cocos(tmp_path):
    write(tmp_path / "instances.json", {**INSTANCES, "categories": [{"id": 18, "name": "Puppy"}]})
    assert read_outlined(tmp_path / "instances.json") == {"3": {"dog"}, "4": set()}


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "objects.json"
    write(path, {"a.jpg": ["Dog", "puppy", "sofa"], "b.jpg": []})
    assert read_list(path) == {"a.jpg": {"dog", "couch"}, "b.jpg": set()}
    write(path, {"a.jpg": ["dog", "tvmonitor"]})
    with pytest.raises(UserError, match=r"objects\.json: tvmonitor: no object of COCO's; leave other objects out"):
        read_list(path)
    write(path, {"a.jpg": "dog"})
    with pytest.raises(UserError, match="of each image the names of its objects"):
        read_list(path)
    write(path, {"images": []})
    with pytest.raises(UserError, match="is no file of instances"):
        read_instances((path,), None)


def test_a_folders_list_is_read_before_anything_is_trained(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        add_image(tmp_path, name)
    (tmp_path / "captions.csv").write_text("image,caption,split\na.jpg,A dog.,val\nb.jpg,A cat.,val\n")
    write(tmp_path / "objects.json", {"a.jpg": ["dog"]})
    corpus = part("data/folder", root=str(tmp_path))
    with pytest.raises(UserError, match=r"objects\.json lacks 1 images: b\.jpg; an image without objects has \[\]"):
        corpus.split("val")
    write(tmp_path / "objects.json", {"a.jpg": ["dog"], "b.jpg": []})
    assert corpus.split("val").metrics[0].name == "chair_i"


def test_score_takes_objects(tmp_path, capsys):
    write(tmp_path / "references.json", official({1: "1.jpg", 2: "2.jpg"}, [(1, "A dog."), (2, "A tree.")]))
    results = [{"image_id": 1, "caption": "a dog and a cat"}, {"image_id": 2, "caption": "a man"}]
    write(tmp_path / "results.json", results)
    write(tmp_path / "objects.json", {"1": ["cat"], "2": []})
    command = [tmp_path / "references.json", tmp_path / "results.json"]
    found = {}
    for name, more in (("chair", ["--objects", tmp_path / "objects.json"]), ("chair_references", [])):
        main([*map(str, [*command, *more, "--out", tmp_path / "out.json"])])
        found[name] = json.loads((tmp_path / "out.json").read_text())["corpus"]
    assert found["chair"]["chair_i"] == pytest.approx(1 / 3)
    assert found["chair_references"]["chair_references_i"] == pytest.approx(2 / 3)
    assert found["chair_references"]["chair_references_s"] == pytest.approx(1)
    with pytest.raises(SystemExit):
        main([*map(str, [*command, "--by-character", "--objects", tmp_path / "objects.json"])])
    assert "--objects: these references name no objects in English words" in capsys.readouterr().err


def test_what_is_outlined_says_nothing_of_captions_in_another_language():
    items = [CaptionedImage(str(row), ("一只狗在草地上奔跑",)) for row in range(3)]
    assert Split("val", items, outlined=lambda: {}).metrics == ()
    english = [CaptionedImage(str(row), ("a dog runs on grass",)) for row in range(3)]
    assert Split("val", english, outlined=lambda: {}).metrics[0].name == "chair_i"


def test_nouns_that_no_reference_has():
    """Said: dog, snow; boy, kite, hill. Of them kite alone is in no reference; people's own nouns are all supported."""
    references = [["two dogs in the snow", "a dog runs through deep snow"], ["a boy on a hill", "boys on the hills"]]
    captions = ["a dog is running through the snow", "a boy with a kite on a hill"]
    told = Predictions(captions, (), references, DocumentFrequencies.of(references))
    found = unsupported_nouns().function(told)
    assert found.corpus == pytest.approx(1 / 5)
    assert found.per_image == pytest.approx([0, 1 / 3])
    assert score(told, in_order([unsupported_nouns()])).humans["unsupported_nouns"] == 0
