"""Exported folders say what the run said, in another program, and describe themselves truly."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file
from torchvision import models

from gan_caption.configuration.building import build
from gan_caption.configuration.launching import conf_dir
from gan_caption.configuration.settings import settings_from
from gan_caption.data.corpus import Corpus, Split
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.none import NoImage
from gan_caption.encoders.pixels import Geometry
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.generators.lstm import LSTMGenerator
from gan_caption.generators.state import PolicyState, TensorState
from gan_caption.inference import onnx_folder
from gan_caption.inference.captioner import Captioner
from gan_caption.inference.exporting import export_run
from gan_caption.inference.model_card import hallucination
from gan_caption.inference.onnx_captioner import OnnxCaptioner
from gan_caption.inference.onnx_check import Images, check_pixels, check_words, cost
from gan_caption.inference.onnx_graphs import onnx_graphs, pixel_recipe
from gan_caption.inference.page import attention_maps
from gan_caption.inference.settings import export_from
from gan_caption.inference.weights import read_weights, shared_config
from gan_caption.text.words import WordTokenizer
from tests import tiny
from tests.slow import mostly_slow
from tests.tiny_runs import TINY, TINY_SEQGAN, part
from tests.training.test_faulty_data import config, features, make_photos

# Enough updates that captions differ from image to image, and that some are sentences.
LEARNED = [
    *TINY_SEQGAN, "data.train=150", "phases.words.steps=40", "phases.mle.epochs=15", "phases.mle.learning_rate=0.01",
    "phases.mle.averaging=0.5", "generator.hidden=64", "generator.embedding=32", "save_every=1000",
]  # fmt: skip
FROZEN = [one for one in TINY if "words" not in one and "width" not in one]
RUNS = {
    "attention": LEARNED,
    "lstm": [*TINY, "generator=lstm", "phases.mle.averaging=0.5", "phases.mle.learning_rate=0.01"],
    "transformer": [
        *TINY,
        "generator=transformer",
        "generator.layers=1",
        "phases.mle.averaging=0.5",
        "phases.mle.learning_rate=0.01",
    ],
    "updown": [*TINY, "generator=updown", "phases.mle.averaging=0.5", "phases.mle.learning_rate=0.01"],
    "frozen": [*FROZEN, "encoder=efficientnet_lite0", "phases.words=null", "data.train=16"],
}


def composed(page: str, *overrides: str) -> dict:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(page, list(overrides)), resolve=True)


@pytest.fixture(scope="module", autouse=True)
def graphs_are_made_once():
    """Graphs of the same networks, which several tests export: PyTorch takes up to ten seconds to make them."""
    made: dict[str, dict[str, bytes]] = {}

    def once(encoder, generator, pixels, *, max_length):
        key = hashlib.sha256(f"{encoder.description} {generator} {pixels.shape} {max_length}".encode())
        for network in (encoder, generator):
            for name, tensor in network.state_dict().items():
                key.update(name.encode())
                key.update(tensor.numpy().tobytes())
        if key.digest() not in made:
            made[key.digest()] = onnx_graphs(encoder, generator, pixels, max_length=max_length)
        return dict(made[key.digest()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_folder, "onnx_graphs", once)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs by name, made when they are asked for."""
    made: dict[str, Path] = {}
    root = tmp_path_factory.mktemp("runs")

    def run(name: str) -> Path:
        if name not in made:
            places = [f"outputs={root / name}", f"cache={root}/cache"]
            made[name] = run_experiment(composed("config", *RUNS[name], *places), data="scenes").folder
        return made[name]

    return run


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """Their folders of ONNX graphs, for reading."""
    made: dict[str, Path] = {}
    root = tmp_path_factory.mktemp("exported")

    def folder(name: str) -> Path:
        if name not in made:
            settings = [f"run={runs(name)}", f"out={root / name}", "check_images=8", "batch_images=3"]
            made[name] = export_run(export_from(composed("export", *settings)))
        return made[name]

    return folder


@pytest.fixture
def export(tmp_path):
    """Export a run as the command line does, to this test's folder."""

    def make(run: Path, *overrides: str) -> Path:
        asked = composed("export", f"run={run}", f"out={tmp_path}/out", "check_images=8", *overrides)
        return export_run(export_from(asked))

    return make


def images_of(run: Path) -> Split:
    """Return the images that the run ended with, drawn anew."""
    data = json.loads((run / "config.json").read_text())["data"]
    return build(data, Corpus, path="data").split("test")


def told_in_training(run: Path, phase: str) -> list[str]:
    """What the run itself wrote, greedily, of its test images."""
    return [row["caption"] for row in json.loads((run / f"captions_{phase}.json").read_text())]


def script_of(card: str) -> str:
    (script,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    return script


def said_by_script(home: Path, folder: Path) -> str:
    """Run script.py on scene.png, both in `home`, as a reader of the card would in the exported folder."""
    done = subprocess.run(
        [sys.executable, home / "script.py", home / "scene.png"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def transformer(*, embedding: int, **sizes):
    """A small one, whose words have as many numbers as its layers."""
    del embedding
    return tiny.transformer(grid_size=16, **sizes)


GENERATORS = {
    "first input": (tiny.lstm, {}),
    "initial state": (tiny.lstm, {"image_as": "initial_state", "generate_unknown": True}),
    "attention and noise": (tiny.attention_lstm, {"grid_size": 16, "heads": 2, "noise_size": 3}),
    "leaked features": (tiny.leakgan, {}),
    "updown": (tiny.updown, {"grid_size": 16}),
    "transformer": (transformer, {"norm": "after", "encoder_layers": 2}),
    "transformer without encoder": (transformer, {"encoder_layers": 0, "noise_size": 3}),
}


@pytest.mark.parametrize("name", mostly_slow(GENERATORS, fast=["initial state"]))
def test_the_graphs_compute_what_the_networks_compute_for_any_number_of_images(name):
    torch.manual_seed(0)
    make, sizes = GENERATORS[name]
    encoder = part("encoder/scene_cnn", width=4).eval()
    generator = make(vocabulary_size=9, pooled_size=encoder.pooled_size, hidden=8, embedding=6, **sizes).eval()
    pixels = torch.randint(0, 256, (5, 3, 48, 48), dtype=torch.uint8)
    graphs = onnx_graphs(encoder, generator, pixels[:2], max_length=5)
    start, step = (onnxruntime.InferenceSession(graphs[name]) for name in ("encoder.onnx", "step.onnx"))
    for count in (1, 2, 5):
        with torch.no_grad():
            wanted = generator.start(encoder(pixels[:count]), 5)
            found = start.run(None, {"pixels": pixels[:count].numpy()})
            for one, other in zip(wanted.named_tensors().values(), found, strict=True):
                np.testing.assert_allclose(other, one.numpy(), atol=1e-5)
            # Every part of the state something else: what is zero at the start may have changed places.
            given = {name: another(one) if "state" in name else one for name, one in wanted.named_tensors().items()}
            tokens = torch.randint(0, 9, (count,))
            logits, after = generator.step(tokens, wanted.rebuilt(given))
        told = {one.name for one in step.get_inputs()}
        inputs = {name: one.numpy() for name, one in {"tokens": tokens, **given}.items()}
        assert set(inputs) == told
        outputs = step.run(None, inputs)
        logits = torch.nn.functional.pad(logits, (generator.first_word, 0), value=float("-inf"))
        changed = [one for name, one in after.named_tensors().items() if "state" in name]
        for one, other in zip([logits, *changed], outputs, strict=True):
            np.testing.assert_allclose(other, one.numpy(), atol=1e-5)


def another(part: torch.Tensor) -> torch.Tensor:
    """Random numbers in the place of a part of the state; where it counts words, there is room for one more."""
    return torch.randn_like(part) if part.is_floating_point() else torch.randint(0, 5, part.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "phase"),
    [("attention", "adversarial"), ("lstm", "mle"), ("frozen", "mle"), ("transformer", "mle"), ("updown", "mle")],
)
def test_onnxruntime_writes_what_the_run_wrote(runs, exported, name, phase):
    wanted = told_in_training(runs(name), phase)
    assert name != "attention" or len(set(wanted)) > 2
    captioner, test = OnnxCaptioner(exported(name)), images_of(runs(name))
    pixels = np.stack([captioner.preprocess(test.image(row)) for row in range(len(test))])
    assert captioner.caption(pixels) == wanted
    assert captioner.caption(pixels[:1]) == wanted[:1]


@pytest.mark.slow
def test_the_check_and_the_files_are_told(runs, export, capsys):
    folder = export(runs("lstm"), "weights=mle")
    printed = capsys.readouterr().out
    assert "words: onnxruntime says what PyTorch says, greedily, of 8 of 8 val images" in printed
    assert re.search(r"onnxruntime ([\d.]+), PyTorch ([\d.]+), ratio ([\d.]+)", printed)
    for name in ("encoder.onnx", "step.onnx"):
        assert f"{name}: {(folder / name).stat().st_size / 1e6:.2f} MB" in printed
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "encoder.onnx", "step.onnx", "vocabulary.json",
    }  # fmt: skip


@pytest.mark.slow
def test_other_images_can_be_checked(runs, export, capsys):
    export(runs("lstm"), "data=scenes", "data.val=5", "data.seed=3")
    assert "of 5 of 5 val images" in capsys.readouterr().out


@pytest.mark.slow
def test_the_cards_own_script_needs_neither_torch_nor_this_package(runs, exported, tmp_path):
    folder, test = exported("attention"), images_of(runs("attention"))
    block = "import sys\nsys.modules['torch'] = sys.modules['gan_caption'] = None\n"
    (tmp_path / "script.py").write_text(block + script_of((folder / "README.md").read_text()))
    for row in (0, 3):
        test.image(row).save(tmp_path / "scene.png")
        assert said_by_script(tmp_path, folder) == told_in_training(runs("attention"), "adversarial")[row]
    # Where all is transparent, there is white, as in training, and not the black that lies below.
    captioner = OnnxCaptioner(folder)
    white, black = captioner.caption(
        np.stack([captioner.preprocess(Image.new("RGB", (64, 64), colour)) for colour in ("white", "black")])
    )
    assert white != black
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "scene.png")
    assert said_by_script(tmp_path, folder) == white


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phase"), [("attention", "adversarial"), ("attention", "mle"), ("frozen", "mle")])
def test_safetensors_hold_generator_and_encoder(runs, export, tmp_path, name, phase):
    run = runs(name)
    folder = export(run, "format=safetensors", f"weights={phase}")
    written = load_file(folder / "weights.safetensors")
    left = load_file(run / "checkpoints" / f"best_{phase}.safetensors")
    assert all(torch.equal(written[key], left[key]) for key in left)
    more = [key for key in written if key not in left]
    assert bool(more) == (name == "frozen")
    assert all(key.startswith("encoder.") for key in more)

    shutil.move(folder, tmp_path / "elsewhere")
    (tmp_path / "script.py").write_text(script_of((tmp_path / "elsewhere" / "README.md").read_text()))
    images_of(run).image(1).save(tmp_path / "scene.png")
    assert said_by_script(tmp_path, tmp_path / "elsewhere") == told_in_training(run, phase)[1]


def test_a_damaged_folder_is_named(runs, export):
    folder = export(runs("lstm"), "format=safetensors")
    with pytest.raises(UserError, match="no run folder"):
        read_weights(folder / "nowhere")
    (folder / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read as weights"):
        read_weights(folder)


@pytest.mark.slow
def test_nothing_of_the_machine_and_no_pickle_is_in_the_folder(runs, exported, export, tmp_path):
    here = [str(tmp_path.parent), str(Path(__file__).parents[2]), sys.prefix]
    for path in (*exported("attention").iterdir(), *export(runs("lstm"), "format=safetensors").iterdir()):
        content = path.read_bytes()
        assert not any(place.encode() in content for place in here), path
        assert not content.startswith((b"\x80", b"PK")), path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["transformer", "updown"])
def test_other_generators_are_captioners_with_attention_maps_and_graphs_in_int8(runs, export, capsys, name):
    captioner, image = Captioner.load(runs(name)), images_of(runs(name)).image(0)
    told = captioner.caption(image, attention=True).best
    assert told.text == told_in_training(runs(name), "mle")[0]
    assert told.attention.sum(1) == pytest.approx(1, abs=1e-5)
    assert told.attention.std(1).max() > 1e-4  # it looks at places
    assert len(attention_maps(captioner, image, told)) == len(told.attention)
    export(runs(name), "int8=true", "calibration_images=20")
    assert re.search(r"int8: [\d.]+% of the captions are word for word the same", capsys.readouterr().out)


@pytest.mark.slow
def test_int8_is_smaller_and_its_price_is_printed(runs, exported, export, capsys):
    other = exported("attention")
    capsys.readouterr()
    folder = export(runs("attention"), "int8=true", "calibration_images=20")
    printed = capsys.readouterr().out
    sizes = [(one / "encoder.onnx").stat().st_size + (one / "step.onnx").stat().st_size for one in (folder, other)]
    assert f"int8: {sizes[0] / 1e6:.2f} MB in place of {sizes[1] / 1e6:.2f} MB" in printed
    assert (folder / "step.onnx").stat().st_size < (other / "step.onnx").stat().st_size
    assert re.search(r"int8: CIDEr-D x 100 is \d+\.\d, [+-]\d+\.\d \(95% [+-]\d+\.\d to [+-]\d+\.\d\)", printed)

    # Another path to the share that was printed: both folders caption the images again.
    val = part("data/scenes", train=150, val=8, test=8).split("val")
    told = []
    for one in (folder, other):
        captioner = OnnxCaptioner(one)
        told.append(captioner.caption(np.stack([captioner.preprocess(val.image(row)) for row in range(8)])))
    share = sum(one == two for one, two in zip(*told, strict=True)) / 8
    assert f"int8: {share:.1%} of the captions" in printed
    card = (folder / "README.md").read_text()
    assert f"{share:.1%} of the captions" in card
    assert card.count("measured in float32, before int8") == 2
    assert "int8" not in (other / "README.md").read_text()


def test_the_cost_of_other_words():
    split = part("data/scenes", train=2, val=6, test=2).split("val")
    first = [item.captions[0] for item in split.items]
    words = WordTokenizer(min_count=1)
    same = cost(first, first, split, words)
    assert (same.equal, same.difference, same.interval) == (1.0, 0.0, (0.0, 0.0))
    worse = cost(first, [*first[:3], "", "", ""], split, words)
    assert worse.equal == 0.5
    assert worse.difference < 0
    assert worse.interval[0] <= worse.difference <= worse.interval[1]


def test_other_words_and_other_pixels_are_errors(exported):
    val = part("data/scenes", train=150, val=8, test=8).split("val")
    encoder = part("encoder/scene_cnn")
    images = Images(val, torch.stack([encoder.preprocess(val.image(row)) for row in range(8)]), 8)
    said = ["a red circle"] * 8
    check_words(said, said, images)
    with pytest.raises(UserError, match=r"2 of 8 images, first for val-0-5: 'a dog', PyTorch 'a red circle'"):
        check_words(said, [*said[:5], "a dog", "a red circle", "a cat"], images)
    captioner = OnnxCaptioner(exported("attention"))
    check_pixels(captioner, images)
    images.pixels[4, 0, 7, 7] += 1
    with pytest.raises(UserError, match="image val-0-4"):
        check_pixels(captioner, images)


@pytest.mark.parametrize("size", [(500, 333), (333, 500), (224, 224), (100, 90)])
def test_pixels_are_made_as_the_encoder_makes_them(size, exported):
    """Photographs are no squares; the exported numbers must give what `Geometry` gives, to the last bit."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    encoder = part("encoder/torchvision", model="squeezenet1_1", weights=None)
    captioner = OnnxCaptioner(exported("attention"))
    for geometry in (encoder.geometry, Geometry(size=224), Geometry(size=64, share=0.9)):
        encoder.geometry = geometry
        captioner._geometry = pixel_recipe(encoder)
        assert np.array_equal(captioner.preprocess(image), encoder.preprocess(image).numpy())


def test_torchvisions_published_weights_are_not_fetched_for_an_export(monkeypatch):
    """Its pixels keep the form that these weights were published for."""
    config = composed("config", "encoder=torchvision", "encoder.model=squeezenet1_1")
    shared = shared_config(settings_from(config))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", None)  # whoever fetches ends here
    built = build(shared["encoder"], Encoder, path="encoder")
    published = models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    assert built.geometry == Geometry(224, 224 / 256, Image.Resampling.BILINEAR)
    assert (built.mean / 255).flatten().tolist() == pytest.approx(published.mean)
    assert (built.std / 255).flatten().tolist() == pytest.approx(published.std)
    with pytest.raises(UserError, match="weights could not be had"):
        build(config["encoder"], Encoder, path="encoder")


def test_what_reads_another_programs_features_is_not_exported(export, tmp_path):
    photos = make_photos(tmp_path / "photos")
    own = ("encoder=precomputed", f"encoder.root={features(photos, tmp_path / 'features')}", "encoder.grid_size=3")
    made = run_experiment(config(tmp_path, photos, "+experiment=mle", *own, "encoder.regions=2"), data="folder")
    with pytest.raises(UserError, match=r"encoder=precomputed\): what is exported could caption no photograph"):
        export(made.folder, "format=safetensors")
    assert not (tmp_path / "out").exists()


def test_the_card_tells_the_runs_own_numbers(runs, exported):
    run = runs("attention")
    results = json.loads((run / "results.json").read_text())
    card = (exported("attention") / "README.md").read_text()
    assert card.startswith("---\n")
    assert "pipeline_tag: image-to-text" in card
    assert not re.search(r"^language: |English", card, flags=re.MULTILINE), "words are not all English"
    assert "state what is not there" in card
    mine = results["systems"]["adversarial"]
    row = re.search(r"\| CIDEr-D x 100 +\| +([\d.]+) \| +([\d.]+) \|", card)
    assert row is not None
    assert [float(cell) for cell in row.groups()] == [
        round(100 * results["systems"][name]["cider_d"], 1) for name in ("mle", "adversarial")
    ]
    assert results["title"] in card
    assert "test images, greedy" in card
    assert "PolicyGradient, steps 4" in card
    assert f"**{mine['oracle_hallucinations']:.3f} false claims" in card
    assert "encoder.onnx`: " in card


def test_the_card_tells_of_what_these_weights_learned_from(runs, export, tmp_path):
    """Later phases are not theirs; a run that they began from is."""
    of_mle = (export(runs("attention"), "weights=mle", "format=safetensors") / "README.md").read_text()
    assert "- phase `mle`: " in of_mle
    assert "- phase `adversarial`: " not in of_mle
    assert "selected on its validation split" in of_mle
    settings = [f"begin_from={runs('lstm')}", "phases.mle.selected_by=last", "phases.mle.epochs=1", "phases.words=null"]
    began = composed(
        "config", *TINY, "generator=lstm", *settings, f"outputs={tmp_path}/next", f"cache={tmp_path}/cache"
    )
    mine = run_experiment(began, data="scenes").folder
    own = export_run(export_from(composed("export", f"run={mine}", "format=safetensors", f"out={tmp_path}/mine")))
    card = (own / "README.md").read_text()
    assert f"it began from the last weights of the run {runs('lstm').name}" in card
    assert f"trained on (Scenes, and before those of the run {runs('lstm').name})" in card
    assert "those of the last step" in card


def test_a_second_export_to_the_runs_own_folder_is_refused(runs, tmp_path):
    run = Path(shutil.copytree(runs("lstm"), tmp_path / "run"))
    asked = export_from(composed("export", f"run={run}", "weights=mle", "format=safetensors"))
    assert export_run(asked) == run / "export-mle-safetensors"
    with pytest.raises(UserError, match=r"export-mle-safetensors exists already: give a folder that is new or empty"):
        export_run(asked)


def test_a_link_in_a_run_folder_leads_an_export_nowhere(runs, tmp_path):
    run = Path(shutil.copytree(runs("lstm"), tmp_path / "run"))
    (run / "export-mle-safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="export-mle-safetensors"):
        export_run(export_from(composed("export", f"run={run}", "weights=mle", "format=safetensors")))
    assert not (tmp_path / "elsewhere").exists()


def test_a_hallucination_rate_is_told_where_it_was_measured_and_nowhere_else():
    known = {"oracle_hallucinations": 0.0824, "oracle_true": 0.924}
    results = {"title": "seqgan: 500 test images", "systems": {"mle": known, "adversarial": known}, "humans": {}}
    told = hallucination(results, "adversarial")
    assert "**0.082 false claims a grammatical caption**" in told
    assert "92.4% of all captions true" in told
    assert "mle 0.082" in told
    photographs = {"title": "", "systems": {"mle": {"cider_d": 0.5}}, "humans": {}}
    assert hallucination(photographs, "mle").startswith("**Its hallucination rate is not measured.** ")
    assert "stopped before its final comparison" in hallucination(None, "mle")
    assert not re.search(r"\d", hallucination(photographs, "mle"))
    silent = {**results, "systems": {"mle": {"oracle_hallucinations": float("nan"), "oracle_true": 0.0}}}
    assert "none of its captions" in hallucination(silent, "mle")
    beside = {**results, "systems": {**silent["systems"], "adversarial": known}}
    assert "other weights" not in hallucination(beside, "adversarial")
    nameless = {"title": "", "systems": {"mle": {"chair_i": float("nan"), "chair_s": 0.0}}, "humans": {}}
    assert hallucination(nameless, "mle").startswith("None of its captions names an object of COCO's 80 kinds")
    for unknown, phase in ((photographs, "mle"), (None, "mle"), (silent, "mle"), (nameless, "mle")):
        assert hallucination(unknown, phase, how=" How.") == hallucination(unknown, phase), "of no rate"
    assert hallucination(results, "adversarial", how=" How.") == f"{told} How."


def test_a_run_that_was_stopped_is_exported_without_numbers(runs, export, tmp_path):
    stopped = tmp_path / "stopped"
    shutil.copytree(runs("lstm"), stopped)
    (stopped / "results.json").unlink()
    card = (export(stopped, "format=safetensors") / "README.md").read_text()
    assert "stopped before its final comparison" in card
    assert "CIDEr-D" not in card


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["weights=discriminator"], r"weights=discriminator: this run has mle, adversarial"),
        (["format=tflite"], "format: 'tflite' is not one of 'onnx' or 'safetensors'"),
        (["format=safetensors", "int8=true"], "int8=true: only format=onnx has it"),
        (["check_images=1"], "check_images=1: at least 2"),
        (["split=dev"], "split: 'dev' is not one of"),
        (["run=nowhere"], "run=nowhere: no run folder"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(runs, export, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        export(runs("attention"), *overrides)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone_unless_it_is_empty(runs, export, tmp_path):
    (tmp_path / "out").mkdir()
    folder = export(runs("lstm"), "format=safetensors")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="exists already: give a folder that is new or empty"):
        export(runs("lstm"), "format=safetensors")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_networks_without_an_onnx_form_are_refused():
    with pytest.raises(UserError, match="NoImage reads no images"):
        pixel_recipe(NoImage())

    class Counting(LSTMGenerator):
        def step(self, tokens, state, rows=None):
            assert len(tokens) > 0
            return super().step(tokens[: len(tokens)], state, rows)

    encoder = part("encoder/scene_cnn", width=2)
    generator = tiny.lstm(Counting, pooled_size=encoder.pooled_size)
    with pytest.raises(UserError, match=r"take the number of images from x\.shape\[0\]"):
        onnx_graphs(encoder, generator, torch.zeros(2, 3, 48, 48, dtype=torch.uint8), max_length=5)


def test_a_state_without_names_for_its_tensors_is_refused_with_what_to_do():
    @dataclass(frozen=True)
    class Nameless(TensorState):
        def named_tensors(self):
            return PolicyState.named_tensors(self)

    class Own(LSTMGenerator):
        def start(self, features, max_length):
            return Nameless(super().start(features, max_length).own)

    encoder = part("encoder/scene_cnn", width=2)
    generator = tiny.lstm(Own, pooled_size=encoder.pooled_size)
    with pytest.raises(UserError, match=r"Nameless cannot be exported: give it `named_tensors` and `rebuilt`"):
        onnx_graphs(encoder, generator, torch.zeros(2, 3, 48, 48, dtype=torch.uint8), max_length=5)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 3, 48, 48), np.uint8), np.zeros((3, 48, 48), np.uint8), np.zeros((1, 48, 48, 3), np.uint8),
        np.zeros((1, 3, 48, 48), np.float32), np.zeros((), np.uint8),
    ],
)  # fmt: skip
def test_pixels_that_are_no_batch_of_images_are_refused(exported, pixels):
    captioner = OnnxCaptioner(exported("attention"))
    with pytest.raises(UserError, match=r"give \(B, 3, \d+, \d+\) as uint8, with B at least 1"):
        captioner.caption(pixels)


def test_an_export_that_lacks_a_setting_is_told_which(exported, tmp_path):
    folder = shutil.copytree(exported("attention"), tmp_path / "export")
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "pixels": {"side": 48}}))
    with pytest.raises(UserError, match=r"config\.json has no 'shorter_side'"):
        OnnxCaptioner(folder)


@pytest.mark.parametrize(("name", "content"), [("vocabulary.json", "null"), ("config.json", '{"filter": "NO_SUCH"}')])
def test_a_damaged_export_is_told(exported, tmp_path, name, content):
    folder = shutil.copytree(exported("attention"), tmp_path / "export")
    if name == "config.json":
        told = json.loads((folder / name).read_text())
        content = json.dumps({**told, "pixels": {**told["pixels"], **json.loads(content)}})
    (folder / name).write_text(content)
    with pytest.raises(UserError, match="cannot be opened as a captioner for onnxruntime"):
        OnnxCaptioner(folder)


def test_a_folder_that_is_no_export_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be opened as a captioner for onnxruntime"):
        OnnxCaptioner(tmp_path)
