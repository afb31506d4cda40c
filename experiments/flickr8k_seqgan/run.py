"""Maximum likelihood with both generators and SeqGAN on Flickr8k: see README.md."""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.study import captions, cost, systems, train
from gan_caption.data.flickr8k import Flickr8k
from gan_caption.reporting.gallery import gallery
from gan_caption.reporting.table import comparison

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"


def main(root: str, *overrides: str) -> None:
    data = ("data=flickr8k", f"data.root={root}", "encoder=efficientnet_lite0", "decoding=beam", *overrides)
    attention = train("+experiment=mle", "generator=attention_lstm", *data, outputs=OUTPUTS)
    seqgan = train("+experiment=seqgan", "generator=attention_lstm", f"pretrained={attention}", *data, outputs=OUTPUTS)
    plain = train("+experiment=mle", "generator=lstm", *data, outputs=OUTPUTS)
    table = comparison(
        {
            "mle, lstm": systems(plain)["mle"],
            "mle, attention_lstm": systems(attention)["mle"],
            "seqgan from there": systems(seqgan)["adversarial"],
        }
    )
    (HERE / "table.md").write_text(f"Flickr8k official dev, beam 5; seed 0.\n{cost(OUTPUTS)}\n\n{table}\n")
    print(table)

    split = Flickr8k(root=root).split("val")
    told = {system: captions(seqgan, system) for system in ("mle", "adversarial")}
    rows = range(8)
    shown = [{system: told[system][split.items[row].image_id] for system in told} for row in rows]
    gallery(OUTPUTS / "figure.png", [split.image(row) for row in rows], shown)


if __name__ == "__main__":
    main(*sys.argv[1:])
