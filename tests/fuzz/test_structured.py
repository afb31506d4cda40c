"""Well-formed and nearly well-formed files of any content: what was written is read, or is refused."""

from __future__ import annotations

import csv
import io
import json
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from experiments.fuzzing.targets import (
    annotations,
    configuration,
    frequencies,
    own_captions,
    run_files,
    shards,
    token_files,
    tokens,
)
from gan_caption.data.annotations import read_tokens
from gan_caption.data.caption_files import read_references
from gan_caption.untrusted.parsing import parse_json
from tests.tiny_runs import part

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"))  # no text has zeros
captions = texts.map(lambda text: " ".join(text.split())).filter(bool)
names = some.text(string.ascii_letters + string.digits + "_é日", min_size=1, max_size=8).map(lambda name: f"{name}.jpg")
corpora = some.dictionaries(names, some.lists(captions, min_size=1, max_size=4), min_size=1, max_size=5)

scalars = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5) | some.just(10**400)
values = some.recursive(
    scalars, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3)
)


def nearly(**fields: some.SearchStrategy) -> some.SearchStrategy:
    """An object with these fields, of which any may be missing or something else."""
    return some.fixed_dictionaries({}, optional={name: field | values for name, field in fields.items()})


ids = some.sampled_from([9, "9", 7, "a.jpg"])
entries = nearly(
    id=ids, image_id=ids, file_name=some.just("000000000009.jpg"), caption=some.just("A dog."),
    captions=some.lists(some.just("A dog.") | values, max_size=2), samples=some.just(["a"]),
    filename=some.just("a.jpg"), split=some.sampled_from(["train", "val", "x"]),
    sentences=some.lists(nearly(raw=some.just("A dog.")), max_size=2), image=some.sampled_from(["a.jpg", "b.jpg"]),
)  # fmt: skip
lists = some.lists(entries | values, max_size=3)
annotation_files = lists | nearly(images=lists, annotations=lists, categories=lists)
run_contents = nearly(
    phases=nearly(mle=some.none()), format=some.sampled_from([1, 2]), step=some.integers(), temperature=some.floats(),
    top_p=some.floats(), values=nearly(cider_d=some.lists(some.floats())), samples=some.just([["a"]]),
)  # fmt: skip
frequency_files = nearly(
    images=some.integers(-1, 9),
    counts=some.dictionaries(some.text("ab ", max_size=7), some.integers(-1, 9) | values, max_size=8),
)
nodes = nearly(
    _target_=some.sampled_from(
        [f"gan_caption.{name}" for name in ("decoding.decoders.Beam", "rewards.mixture.Mixture", "x.y")] + ["os.system"]
    ),
    beam_size=some.integers(), weights=some.dictionaries(some.text(max_size=3), some.floats(), max_size=2),
    parts=some.dictionaries(
        some.text(max_size=3), nearly(_target_=some.just("gan_caption.rewards.cider.CiderDReward")), max_size=2
    ),
)  # fmt: skip


members = some.dictionaries(
    some.sampled_from(["0", "1", "a/0", "../0", "/0", "__about__/features", "é\n", "x" * 300]).flatmap(
        lambda key: some.sampled_from([".jpg", ".png", ".json", ".txt", ".npz", ""]).map(lambda ending: key + ending)
    ),
    some.binary(max_size=20) | values.map(lambda value: json.dumps(value).encode()) | some.just(b"A dog."),
    max_size=6,
)  # fmt: skip


@few
@given(corpora)
def test_a_token_file_is_read_as_it_was_written(corpus):
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "tokens")
        lines = [f"{name}#{place}\t{text}\n" for name, own in corpus.items() for place, text in enumerate(own)]
        path.write_bytes("".join(lines).encode())
        assert read_tokens(path) == {name: tuple(own) for name, own in corpus.items()}


@few
@given(corpora)
def test_csv_and_json_lines_of_any_text_are_read_as_they_were_written(corpus):
    rows = [(name, text) for name, own in corpus.items() for text in own]
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("image", "caption"), *rows])
    lines = "\n".join(json.dumps({"image": name, "captions": own}) for name, own in corpus.items())
    for file, content in (("captions.csv", table.getvalue()), ("captions.jsonl", lines)):
        with tempfile.TemporaryDirectory() as home:
            Path(home, file).write_bytes(content.encode())
            for name in corpus:
                Path(home, name).touch()
            split = part("data/folder", root=home, val_share=0.0, test_share=0.0).split("train")
            assert {item.image_id: list(item.captions) for item in split.items} == corpus


@few
@given(corpora)
def test_references_are_read_as_they_were_written(corpus):
    entries = [{"image_id": name, "caption": text} for name, own in corpus.items() for text in own]
    for form in (entries, {"annotations": entries}):
        with tempfile.TemporaryDirectory() as home:
            path = Path(home, "references.json")
            path.write_text(json.dumps(form))
            assert read_references(path) == corpus


@few
@given(values)
def test_json_is_parsed_as_the_standard_library_does(value):
    text = json.dumps(value)
    assert repr(parse_json(text)) == repr(json.loads(text))


@few
@given(corpora)
def test_a_shard_of_any_text_is_read_as_it_was_written(corpus):
    with tempfile.TemporaryDirectory() as root:
        told = {f"{row}.json": {"image_id": name, "captions": own} for row, (name, own) in enumerate(corpus.items())}
        content = {f"{row}.jpg": name.encode() for row, name in enumerate(corpus)}
        packed = {name: json.dumps(value).encode() for name, value in told.items()}
        both = dict(sorted((content | packed).items()))  # a sample's members are neighbours
        Path(root, "train-0.tar").write_bytes(shards.tar(both))
        split = part("data/shards", root=root, cache=f"{root}/cache", skip_unreadable=False).split("train")
        assert {item.image_id: list(item.captions) for item in split.items} == corpus
        assert all(split.content(row) == item.image_id.encode() for row, item in enumerate(split.items))


@few
@given(members, some.integers(0, 2000) | some.none())
def test_shards_of_any_members_and_cut_anywhere(members, kept):
    shards.read("whole", shards.tar(members)[:kept], set())


@few
@given(some.text(some.characters(categories=["Cs", "Ll"]), max_size=6))
def test_half_of_a_surrogate_pair_is_refused_and_a_whole_one_read(text):
    written = json.dumps({"a": [text]})
    read = json.loads(written)["a"][0]
    if any("\ud800" <= sign <= "\udfff" for sign in read):
        with pytest.raises(json.JSONDecodeError, match="surrogate"):
            parse_json(written)
    else:
        assert parse_json(written) == {"a": [read]}


@few
@given(annotation_files)
def test_annotations_of_any_form(content):
    annotations.one_input(json.dumps(content).encode())
    lines = content if isinstance(content, list) else [content]
    annotations.one_input("\n".join(map(json.dumps, lines)).encode())
    own_captions.one_input("\n".join(map(json.dumps, lines)).encode())


@few
@given(run_contents | some.lists(run_contents) | values)
def test_run_files_of_any_form(content):
    run_files.one_input(json.dumps(content).encode())


@few
@given(frequency_files | values)
def test_frequencies_of_any_form(content):
    frequencies.one_input(json.dumps(content).encode())


@few
@given(nodes | values)
def test_nodes_of_any_form(content):
    configuration.one_input(json.dumps(content).encode())


@few
@given(
    some.lists(some.sampled_from(['"', ",", "\n", "\r", "\0", "\u2028", "image", "caption", "a.jpg", "#0\t", "A dog"]))
)
def test_tables_and_token_files_of_any_form(pieces):
    for head in ("", "image,caption\n"):
        own_captions.one_input((head + "".join(pieces)).encode())
    token_files.one_input("".join(pieces).encode())


@few
@given(some.text() | some.text("aA1.,'-/&@#<>:;()!?$_ \u0301", max_size=300))
def test_any_text_has_tokens(text):
    tokens.one_input(text.encode("utf-8", "replace"))
