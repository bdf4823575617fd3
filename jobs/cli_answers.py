"""Commands that go all the way to an answer: `refine` a store, and the `width` for one's own data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.options import FILE, STORE, computing, judging, listing

if TYPE_CHECKING:
    from analysis.success import Success
    from pipeline.store.location import Where

__all__ = ["refine", "width"]


class _Share(click.ParamType):  # type: ignore[type-arg]
    """A share of a whole, such as 2% or 0.02."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"got {text!r}, expected a share such as 2% or 0.02.", param, ctx)
        if not 0 < share < 1:
            self.fail(f"got {text}, expected a share between 0 and 100%, such as 2%.", param, ctx)
        return share


SHARE = _Share()


@click.command()
@click.argument("store", type=STORE)
@click.option(
    "--to",
    "target",
    type=SHARE,
    required=True,
    metavar="SHARE",
    help="Half the relative width of the 95% interval of k50 to come to, such as 2%.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Let STORE ask for at most N trials in all, with those that are there.  [default: no limit]",
)
@click.option("--dry-run", is_flag=True, help="Show what it would take and stop.")
@computing
@judging
@listing
def refine(
    store: Where,
    target: float,
    trials: int | None,
    dry_run: bool,
    workplace: dict[str, Any],
    success: Success,
    form: str | None,
) -> None:
    """Run the trials of STORE that narrow its critical widths, until all are known to --to.

    Start from a coarse pass: a few widths and seeds. Each round fits every cell and asks for new seeds
    at one to three widths, where they tell most: around k50; between the widths where failures end and
    successes begin; or outwards, where the grid does not reach the transition. STORE stays a dense
    cube, in which other trials count as not asked for. The table says for every cell:

    \b
    now      half the relative width of its interval, sqrt(k50_high / k50_low) - 1
    trials   expected to bring it to the target; "≥" while no curve is fitted yet
    verdict  located, open, or not locatable (with the reason)

    A store with several tolerances (or --budget) goes on until all of them are located.

    The same command resumes, whatever ended it, and comes to the same store. Pending trials are run
    first. Exit status: 0 all cells are located, 1 some are not locatable or trials failed, 3 --trials
    ended it before.
    """
    from jobs.commands.refine import refine as refine_store

    sys.exit(refine_store(store, target, trials, dry_run, success, workplace, form))


@click.command()
@click.argument("data", type=FILE)
@click.option("--n", type=int, required=True, help="Rows of DATA in each draw.")
@click.option("--activation", default="relu", show_default=True, help="Of the hidden units.")
@click.option(
    "--to",
    "target",
    type=SHARE,
    default="5%",
    show_default=True,
    metavar="SHARE",
    help="Half the relative width of the 95% interval of the critical width to come to.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Success is sigma_min / sqrt(k) >= THRESHOLD * alpha.  [default: 0.5, as in Theorem 2]",
)
@click.option(
    "-o", "--output", "picture", type=FILE, help="Picture to draw: a .png, .svg or .pdf file."
)
@click.option("--store", type=STORE, help="Keep the trials here, and resume them.  [default: nowhere]")
@computing
@listing
def width(
    data: Path,
    n: int,
    activation: str,
    target: float,
    threshold: float | None,
    picture: Path | None,
    store: Where | None,
    workplace: dict[str, Any],
    form: str | None,
) -> None:
    """How wide for one's own rows: what Theorem 2 asks for, and what is measured.

    DATA is a .npy file of shape (samples, d), or a .csv file with a sample on each line. Every draw
    takes --n of its rows without replacement, scaled to unit norm as Theorem 2 asks, and new weights.
    Printed are, over the draws:

    \b
    alpha                     root of the least eigenvalue of the kernel (Assumption 4)
    sufficient width          what the proof of Theorem 2 shows to be enough
    predicted k*              where the edge of the limiting spectrum comes to success
    predicted k*, finite size the same, with the shift of the edge at finite n
    measured k*               width of success in half of the draws, with its 95% interval

    The prediction is for data without structure; what is measured is looked for wherever it lies.
    Exit status: 0, 1 where there is no critical width, such as where alpha is 0, 3 where it is not yet
    known as well as --to asks.
    """
    from jobs.commands.width import width as answer

    sys.exit(answer(data, n, activation, target, threshold, picture, store, workplace, form))
