"""The Weights & Biases dashboard, as code: methods against the baseline, curves by phase, what the captioners say.

Its panels name what runs log (README, "Names in the logs"), over our own `step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gan_caption.configuration.wording import listed
from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.files import write_atomically

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import LinePlot, ScatterPlot
    from wandb_workspaces.workspaces import Section, Workspace

GREY = "#8a8a8a"
"""Of the baseline: the phase of maximum likelihood, whatever comes after it."""


@dataclass(frozen=True, kw_only=True)
class DashboardSettings:
    """Of the dashboard; `conf/dashboard.yaml` says what each means."""

    out: Path
    project: str
    entity: str | None
    name: str
    against: str
    metrics: list[str]


def make_dashboard(settings: DashboardSettings, *, methods: str | Sequence[str]) -> None:
    """Write the dashboard to a file; where somebody is logged in, also save it to the project. Prints what was done.

    Args:
        settings: of the dashboard.
        methods: names of the experiments.

    Raises:
        UserError: wandb-workspaces is missing, the file cannot be written, or W&B refuses the dashboard.
    """
    require("wandb_workspaces", extra="dashboard", what="dashboards")
    import wandb

    workspace = define_dashboard(
        project=settings.project, entity=settings.entity or "", name=settings.name, baseline=settings.against,
        methods=methods, metrics=settings.metrics,
    )  # fmt: skip
    # The view that `save` sends; the library has no public name for it.
    text = workspace._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)
    write_atomically(settings.out, lambda file: file.write(text.encode() + b"\n"))
    print(f"the dashboard is in {settings.out}", flush=True)
    if wandb.login(prompt=False, verify=False) and wandb.setup().settings.mode == "online":
        print(f"saved: {_save(workspace)}", flush=True)
    else:
        print("not saved to W&B: do `wandb login`, without WANDB_MODE=offline, and the same again", flush=True)


def _save(workspace: Workspace) -> str:
    """Save the dashboard to its project, and return its address.

    Raises:
        UserError: W&B does not answer, or refuses it.
    """
    import wandb

    try:
        workspace.entity = workspace.entity or wandb.Api().default_entity or ""
        return workspace.save().url
    except Exception as error:  # of W&B's clients each has its own
        place = f"{workspace.entity or 'your own entity'}/{workspace.project}"
        raise UserError(
            f"W&B did not take the dashboard for {place} ({' '.join(str(error).split())}). "
            "Does it answer, does the project exist (a first run makes it), and may you write to it?"
        ) from error


def define_dashboard(
    *,
    project: str,
    entity: str,
    name: str,
    baseline: str,
    methods: str | Sequence[str],
    metrics: str | Sequence[str] = (),
) -> Workspace:
    """Return the dashboard: runs grouped by method, within it by phase, so that a line is the mean over seeds.

    Args:
        project: W&B's project.
        entity: W&B's user or team.
        name: of the view.
        baseline: the phase that is grey in every method's group.
        methods: names of the experiments.
        metrics: names of the user's own metrics.
    """
    from wandb_workspaces.expr import Metric
    from wandb_workspaces.workspaces import GroupPath, RunsetSettings, Workspace, WorkspaceSettings

    return Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[_against_the_baseline(listed(metrics)), _samples(), _pretraining(), _discriminator(), _policy()],
        settings=WorkspaceSettings(x_axis="step", max_runs=100),
        runset_settings=RunsetSettings(
            groupby=[Metric("Group"), Metric("JobType")],
            group_colors={GroupPath(method, baseline): GREY for method in listed(methods)},
            pinned_columns=["summary:val/cider_d", "summary:val/div_2", "summary:status"],
        ),
    )


def _against_the_baseline(own: Sequence[str]) -> Section:
    """Validation: what the phases after the baseline gain in quality and lose in variety."""
    from wandb_workspaces.reports.v2 import BarPlot
    from wandb_workspaces.workspaces import Section

    return Section(
        name="methods against the baseline (validation)",
        is_open=True,
        panels=[
            _scatter("quality against diversity", x="val/div_2", y="val/cider_d"),
            _scatter("quality against diversity (lower mBLEU-4 is more varied)", x="val/mbleu_4", y="val/cider_d"),
            BarPlot(title="CIDEr-D", metrics=["val/cider_d"]),
            _lines("CIDEr-D", "val/cider_d"),
            _lines("BLEU-4", "val/bleu_4"),
            _lines("Div-2 of samples", "val/div_2"),
            _lines("mBLEU-4 of samples", "val/mbleu_4"),
            _lines("NLL of references, nats a token", "val/nll_per_token"),
            _lines("length, words", "val/length"),
            _lines("share of unique captions", "val/unique"),
            _lines("share found verbatim in training", "val/verbatim"),
            _lines("words used", "val/vocabulary"),
            *(_lines(name, f"val/{name}") for name in own),
        ],
    )


def _samples() -> Section:
    """What was said of a few validation images, beside them."""
    from wandb_workspaces.reports.v2 import Layout, MediaBrowser, WeavePanelSummaryTable
    from wandb_workspaces.workspaces import Section

    return Section(
        name="samples",
        is_open=True,
        panels=[
            WeavePanelSummaryTable(table_name="samples", layout=Layout(w=24, h=12)),
            MediaBrowser(title="captions over steps", media_keys=["sample_images"], num_columns=4),
        ],
    )


def _pretraining() -> Section:
    """The phases `words` and `mle`."""
    from wandb_workspaces.workspaces import Section

    return Section(
        name="phases words and mle",
        panels=[
            _lines("loss, nats a token", "mle/loss"),
            _lines("gradient norm", "mle/gradient_norm"),
            _lines("learning rate", "mle/learning_rate"),
            _lines("loss of the encoder's pretraining", "words/loss"),
        ],
    )


def _discriminator() -> Section:
    """D in its own phase and in the adversarial one: a line each."""
    from wandb_workspaces.workspaces import Section

    return Section(
        name="discriminator, in phases discriminator and adversarial",
        is_open=True,
        panels=[
            _lines("accuracy, moving average", "discriminator/accuracy"),
            _lines("accuracy on real captions", "discriminator/accuracy_real"),
            _lines("accuracy on generated captions", "discriminator/accuracy_generated"),
            _lines("accuracy on captions of other images", "discriminator/accuracy_mismatched"),
            _lines("accuracy on captions with one word replaced", "discriminator/accuracy_edited"),
            _lines("loss", "discriminator/loss"),
            _lines("gradient norm", "discriminator/gradient_norm"),
            _lines("updates a step", "discriminator/updates"),
        ],
    )


def _policy() -> Section:
    """The policy and its reward."""
    from wandb_workspaces.workspaces import Section

    return Section(
        name="policy, in phases adversarial and policy_gradient",
        is_open=True,
        panels=[
            _lines("reward", "reward/mean"),
            _lines("spread of the reward", "reward/std"),
            _lines("spread of the advantage", "advantage/std"),
            _lines("entropy, nats a token", "policy/entropy"),
            _lines("KL from the pretrained policy, nats a caption", "policy/kl"),
            _lines("length of samples, tokens", "policy/length"),
            _lines("loss", "policy/loss"),
            _lines("interleaved maximum likelihood", "policy/mle_loss"),
            _lines("gradient norm", "policy/gradient_norm"),
            _lines("PPO: share of clipped tokens", "policy/clipped"),
            _lines("Gumbel-softmax: temperature", "policy/temperature"),
        ],
    )


def _lines(title: str, metric: str) -> LinePlot:
    """Draw a metric over the updates since the run began."""
    from wandb_workspaces.reports.v2 import LinePlot

    return LinePlot(title=title, x="step", y=[metric])


def _scatter(title: str, *, x: str, y: str) -> ScatterPlot:
    """Draw the last values of each run, a point each."""
    from wandb_workspaces.reports.v2 import ScatterPlot, SummaryMetric

    return ScatterPlot(title=title, x=SummaryMetric(x), y=SummaryMetric(y))
