"""The contract of a generator as a test. Shapes: B images, N captions, M tokens in all, T steps, W writable words."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_caption.data.captions import BOS, EOS, PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.decoding.beam import beam_search
from gan_caption.decoding.greedy import greedy
from gan_caption.decoding.sampling import sample
from gan_caption.generators.base import Generator, token_log_probs
from gan_caption.generators.state import PolicyState
from gan_caption.modes import evaluating, in_eval_mode
from gan_caption.testing.comparing import (
    alone,
    check,
    check_equal,
    check_gradients,
    check_grid,
    padded,
    reordered,
    untouched,
    various_captions,
    with_padded_regions,
)


def check_generator(
    generator: Generator,
    features: ImageFeatures,
    *,
    max_length: int = 6,
    soft_words: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Check that a generator keeps the contract of `gan_caption.generators.base.Generator`.

    All decoders, rollouts and objectives rest on these promises:

    - `logits` in one pass are what `step` by step predicts, and no special token is written;
    - `rows=` goes on from these rows; states can be selected, repeated, split and stacked, and no step changes the
      state that it was given;
    - what a caption gets does not depend on its batch: its neighbours, their order, padding;
    - as many tokens fit as `start` was told, and `max_length` changes no number;
    - `after_each_prefix` is where reading the prefix again ends;
    - a grid is read only where it says `uses_grid`;
    - in eval mode nothing is random; arguments are left as they were; gradients reach every parameter, and `weights`
      has all of them;
    - one beam is greedy decoding, and samples are as frequent as they are probable.

    Args:
        generator: with weights that tell words and images apart (random ones do). It is checked in eval mode.
        features: of at least two different images, with the grid where the generator reads one.
        max_length: of the captions that it is checked with, in tokens, at least 2.
        soft_words: whether `step` takes weights over words; only the Gumbel objective needs it.
        tolerance: the most that two ways to the same number may differ, in parts of it or absolutely.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    check(len(features) >= 2, "check_generator needs the features of at least two images")
    captions = various_captions(len(features), vocabulary_size=generator.vocabulary_size, max_length=max_length)
    captions = captions.to(features.pooled.device)
    held = {id(weight) for weight in generator.weights()}
    missing = [name for name, weight in generator.named_parameters() if id(weight) not in held]
    check(not missing, f"`weights` lacks {', '.join(missing)}: it has all that the policy computes with")
    with evaluating(generator):
        steps = _check_start(generator, features, max_length)
        with untouched("logits", features=features, captions=captions):
            logits = generator.logits(features, captions)
        _check_words(generator, logits, captions)
        _check_steps(generator, features, captions, logits, max_length, tolerance)
        _check_rows(generator, steps, tolerance)
        _check_states(generator, steps, tolerance)
        _check_prefixes(generator, features, captions, max_length, tolerance)
        _check_batches(generator, features, captions, tolerance)
        _check_attention(generator, features, captions, tolerance)
        _check_decoding(generator, features, max_length, tolerance)
        check_grid(
            lambda seen: generator.logits(seen, captions), features,
            uses_grid=generator.uses_grid, of="`logits`", tolerance=tolerance,
        )  # fmt: skip
    with in_eval_mode(generator):
        check_gradients(generator, _finite(generator.logits(features, captions)).square().sum(), of="`logits`")
        if soft_words:
            _check_soft_words(generator, features, max_length, tolerance)


def _check_start(generator: Generator, features: ImageFeatures, max_length: int) -> list[PolicyState]:
    """Check the state before the first word, and return it with those after `<bos>` and after a word of each image."""
    with untouched("start", features=features):
        state = generator.start(features, max_length)
    check(isinstance(state, PolicyState), f"start must return a PolicyState, not a {type(state).__name__}")
    images = torch.arange(len(features), device=features.pooled.device)
    check(len(state) == len(images), f"start has {len(state)} rows for {len(images)} images: one row an image")
    check(torch.equal(state.images, images), f"state.images are {state.images.tolist()} after start: 0, 1, 2, ...")
    check(state.row_bytes >= 0, f"state.row_bytes is {state.row_bytes}: the memory of a row, in bytes")
    tokens = torch.full_like(images, BOS)
    with untouched("step", tokens=tokens):
        _, begun = generator.step(tokens, state)
    check(len(begun) == len(images), f"after a step of {len(images)} tokens the state has {len(begun)} rows")
    _, later = generator.step(_words(generator, len(images), seed=1), begun)
    return [state, begun, later]


def _check_words(generator: Generator, logits: Tensor, captions: Captions) -> None:
    check(generator.first_word > BOS, f"first_word={generator.first_word}: `<pad>` and `<bos>` may never be written")
    tokens, words = int(captions.lengths.sum()), generator.vocabulary_size - generator.first_word
    check(
        logits.shape == (tokens, words),
        f"`logits` are {tuple(logits.shape)}: ({tokens}, {words}) are wanted, a row for every token that is not "
        "padding and a column for every word from first_word on",
    )
    check(not (logits.isnan() | (logits == float("inf"))).any(), "`logits` are NaN or infinite")
    sums = logits.softmax(1).sum(1)
    check_equal(sums, torch.ones_like(sums), "the probabilities after a prefix must sum to one", tolerance=1e-3)


def _check_steps(
    generator: Generator, features: ImageFeatures, captions: Captions, logits: Tensor, max_length: int, tolerance: float
) -> None:
    """Check that steps predict what one pass predicts, and that all tokens of the longest caption can be read."""
    wanted = captions.unpacked(logits)
    message = "in eval mode nothing is random: `logits` of the same captions"
    check_equal(generator.logits(features, captions), logits, message, tolerance=tolerance)
    last = []
    for longest in (max_length, 2 * max_length):
        state = generator.start(features, longest).select(captions.images)
        for place, tokens in enumerate(captions.inputs.unbind(1)):
            found, state = generator.step(tokens, state)
            here = place < captions.lengths
            message = f"`step` must predict what `logits` predict (token {place + 1}, max_length={longest})"
            check_equal(found[here], wanted[here, place], message, tolerance=tolerance)
        try:
            last.append(generator.step(captions.tokens[:, -1], state)[0])
        except Exception as error:
            raise AssertionError(
                f"start was told max_length={longest}, and <bos> with {max_length} tokens cannot be read: {error!r}"
            ) from error
    message = "<bos> and max_length tokens must have room, and more room must change nothing"
    check_equal(last[0], last[1], message, tolerance=tolerance)


def _check_rows(generator: Generator, steps: list[PolicyState], tolerance: float) -> None:
    for state in steps:
        last = len(state) - 1
        for chosen in ([0, 0, last], [0, *range(last + 1), last], [last]):
            rows = torch.tensor(chosen, device=state.images.device)
            tokens = _words(generator, len(rows), seed=2)
            found, after = generator.step(tokens, state, rows)
            wanted, truth = generator.step(tokens, state.select(rows))
            message = f"step(tokens, state, rows) must be step(tokens, state.select(rows)); rows={chosen}"
            check_equal(found, wanted, message, tolerance=tolerance)
            check(torch.equal(after.images, state.images[rows]), f"{message}: the state's images are others")
            check_equal(
                generator.step(tokens, after)[0], generator.step(tokens, truth)[0],
                f"{message}, and so must the step after it", tolerance=tolerance,
            )  # fmt: skip


def _check_states(generator: Generator, steps: list[PolicyState], tolerance: float) -> None:
    """Check that states are forked, dropped, put together and kept as `PolicyState` promises."""
    for state in steps:
        count = len(state)
        tokens, others = _words(generator, count, seed=3), _words(generator, count, seed=4)
        wanted, _ = generator.step(tokens, state)
        generator.step(others, state)
        generator.step(others.flip(0), state, torch.arange(count, device=tokens.device))
        message = "a step must leave the state that it is given as it was"
        check_equal(generator.step(tokens, state)[0], wanted, message, tolerance=tolerance)

        rows = torch.tensor([0, *range(0, count, 2), count - 1], device=tokens.device)
        found, _ = generator.step(tokens[rows], state.select(rows))
        check_equal(found, wanted[rows], f"state.select({rows.tolist()}) must be of these rows", tolerance=tolerance)
        twice = state.repeat(2)
        check(torch.equal(twice.images, state.images.repeat_interleave(2)), "state.repeat must keep copies neighbours")
        found, _ = generator.step(tokens.repeat_interleave(2), twice)
        check_equal(found, wanted.repeat_interleave(2, 0), "state.repeat must repeat each row", tolerance=tolerance)

        for size in (1, 2, count):
            parts = state.split(size)
            sizes = [len(part) for part in parts]
            given = [min(size, count - first) for first in range(0, count, size)]
            check(sizes == given, f"state.split({size}) of {count} images has parts of {sizes}: {given} are wanted")
            logits = []
            for part, words in zip(parts, tokens.split(size), strict=True):
                own = torch.arange(len(part), device=tokens.device)
                check(torch.equal(part.images, own), "the images of each part of state.split count from 0")
                logits.append(generator.step(words, part)[0])
            message = f"state.split({size}) must be the same captions in parts"
            check_equal(torch.cat(logits), wanted, message, tolerance=tolerance)

    stacked = steps[0].stack(steps[1:])
    check(
        torch.equal(stacked.images, steps[0].images.repeat_interleave(2)),
        "state.stack: row n * T + t is of the image of row n",
    )
    tokens = _words(generator, len(stacked), seed=5)
    found, _ = generator.step(tokens, stacked)
    for place, state in enumerate(steps[1:]):
        wanted, _ = generator.step(tokens[place::2], state)
        message = f"state.stack: row n * T + t goes on from row n of state t (t = {place})"
        check_equal(found[place::2], wanted, message, tolerance=tolerance)


def _check_prefixes(
    generator: Generator, features: ImageFeatures, captions: Captions, max_length: int, tolerance: float
) -> None:
    start, length = generator.start(features, max_length), captions.tokens.shape[1]
    found, state = generator.after_each_prefix(captions, start)
    wanted, truth = Generator.after_each_prefix(generator, captions, start)
    read = captions.mask.flatten()
    message = "after_each_prefix: row n * T + t must be where reading t + 1 tokens of caption n ends"
    check_equal(found[read], wanted[read], message, tolerance=tolerance)
    images = captions.images.repeat_interleave(length)
    check(torch.equal(state.images, images), f"{message}: the state's images are others")
    # What has been cut cannot be read on.
    rows = (read & (torch.arange(len(read), device=read.device) % length < max_length - 1)).nonzero()[:, 0]
    tokens = _words(generator, len(rows), seed=6)
    check_equal(
        generator.step(tokens, state, rows)[0], generator.step(tokens, truth, rows)[0],
        f"{message}, and so must the step after it", tolerance=tolerance,
    )  # fmt: skip


def _check_batches(generator: Generator, features: ImageFeatures, captions: Captions, tolerance: float) -> None:
    """Check that neighbours, order and padding change nothing."""
    scores = generator.score(features, captions)
    for row in range(len(captions)):
        one, image = alone(captions, row), features.select(captions.images[row : row + 1])
        length = one.tokens.shape[1]
        message = f"the other captions and images of a batch must not change a caption (row {row})"
        check_equal(generator.score(image, one)[0], scores[row, :length], message, tolerance=tolerance)
    if generator.uses_grid and features.grid is not None:
        found = generator.score(with_padded_regions(features), captions)
        check_equal(found, scores, "rows of the grid beyond `regions` must not change a caption", tolerance=tolerance)
    turned_features, turned, rows = reordered(features, captions)
    message = "the order of images and captions must not change a caption"
    check_equal(generator.score(turned_features, turned), scores[rows], message, tolerance=tolerance)
    length = captions.tokens.shape[1]
    for token in (PAD, generator.vocabulary_size - 1):
        found = generator.score(features, padded(captions, by=3, with_token=token))[:, :length]
        check_equal(found, scores, f"padding must not change a caption (token {token} on it)", tolerance=tolerance)


def _check_attention(generator: Generator, features: ImageFeatures, captions: Captions, tolerance: float) -> None:
    weights = generator.attention_weights(features, captions)
    if weights is None:
        return
    check(features.grid is not None, "attention_weights over a grid that is not there")
    assert features.grid is not None
    wanted = (*captions.tokens.shape, features.grid.shape[1])
    check(weights.shape == wanted, f"attention_weights are {tuple(weights.shape)}: {wanted} are wanted")
    message = "attention_weights must sum to one over the grid's regions, and be 0 on padding"
    check((weights >= 0).all(), f"{message}; they are negative")
    check_equal(weights.sum(2), captions.mask.to(weights.dtype), message, tolerance=tolerance)


def _check_decoding(generator: Generator, features: ImageFeatures, max_length: int, tolerance: float) -> None:
    for name, found in (
        ("greedy decoding", greedy(generator, features, max_length=max_length)),
        ("a search with one beam", beam_search(generator, features, beam_size=1, max_length=max_length)),
    ):
        logits = generator.logits(features, found)
        own = token_log_probs(logits, found, first_word=generator.first_word)
        message = f"{name} must write the most probable word, again and again"
        check_equal(own, logits.amax(1), message, tolerance=tolerance)
    draws = 2000
    drawn = sample(generator, features, samples=draws, max_length=2, rng=torch.Generator().manual_seed(0))
    message = "what a sample was drawn with must be what it is scored with"
    check_equal(drawn.log_probs, generator.score(features, drawn.captions), message, tolerance=tolerance)
    images = torch.arange(len(features), device=features.pooled.device)
    logits, _ = generator.step(torch.full_like(images, BOS), generator.start(features, 2))
    exact = logits.softmax(1)  # (B, W)
    first = (drawn.captions.tokens[:, 0] - generator.first_word).view(len(images), draws)
    shares = torch.zeros_like(exact).scatter_add_(1, first, torch.ones_like(first, dtype=exact.dtype)) / draws
    errors = (exact * (1 - exact) / draws).sqrt()
    check(((shares - exact).abs() < 6 * errors + 2 / draws).all(), "samples must be as frequent as they are probable")


def _check_soft_words(generator: Generator, features: ImageFeatures, max_length: int, tolerance: float) -> None:
    """Check that weights over words are read as words, and pass gradients."""
    count = len(features)
    _, state = generator.step(
        torch.full((count,), BOS, device=features.pooled.device), generator.start(features, max_length)
    )
    state, words = state.repeat(4), _words(generator, 4 * count, seed=7)
    weights = torch.nn.functional.one_hot(words, generator.vocabulary_size).to(features.pooled.dtype).requires_grad_()
    advice = "set soft_words=False if your generator takes none: the Gumbel objective then has nothing to train"
    try:
        found, _ = generator.step(weights, state)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise AssertionError(f"step does not take weights over words ({error}): {advice}") from error
    message = f"weights that are 1 for one word must be read as that word; {advice}"
    check_equal(found, generator.step(words, state)[0], message, tolerance=tolerance)
    with torch.no_grad():
        check_equal(
            generator.step(weights, state)[0], found, "weights over words, without gradients", tolerance=tolerance
        )
    check(found.requires_grad, f"weights over words must pass gradients: {advice}")
    (slope,) = torch.autograd.grad(_finite(found).square().sum(), weights, allow_unused=True)
    check(slope is not None and slope.any(), f"weights over words must pass gradients: {advice}")


def _finite(logits: Tensor) -> Tensor:
    return logits[logits > float("-inf")]


def _words(generator: Generator, count: int, *, seed: int) -> Tensor:
    """Return random words (N,)."""
    rng = torch.Generator().manual_seed(seed)
    device = next((own.device for own in (*generator.parameters(), *generator.buffers())), torch.device("cpu"))
    return torch.randint(EOS, generator.vocabulary_size, (count,), generator=rng).to(device)
