"""`widthlaw sweeps` and `widthlaw profiles`: the bundled sweeps, and all profiles."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import SWEEP, listing_options
from jobs.output.records import Record, print_records

__all__ = ["profile_records", "profiles", "sweeps"]


@click.command()
@click.argument("sweep", type=SWEEP, required=False)
@listing_options
def sweeps(sweep: str | None, form: str | None) -> None:
    """List the bundled sweeps.

    With SWEEP, print its file, which is a good start for one of your own.
    """
    if sweep is None:
        print_records(_sweep_records(), form)
        return
    if form is not None:
        raise click.UsageError(f"a sweep is printed as TOML; remove --{form}.")
    from pipeline.sweep_files.load import load_sweep

    click.echo(load_sweep(sweep).text.rstrip())


def _sweep_records() -> list[Record]:
    """Return a record for each bundled sweep; the first comment of its file is its description."""
    from pipeline.blocks import estimated_seconds
    from pipeline.sweep_files.load import bundled_sweeps, load_sweep

    records = []
    for name, file in bundled_sweeps().items():
        sweep = load_sweep(file)
        records.append(
            {
                "sweep": name,
                "experiment": sweep.experiment,
                "trials": sweep.trials,
                "core-seconds": round(estimated_seconds(sweep), 1),
                "about": sweep.text.splitlines()[0].lstrip("# "),
            }
        )
    return records


@click.command()
@listing_options
def profiles(form: str | None) -> None:
    """List the profiles, which describe where workers run.

    The list shows which of them can be used on this machine. To change a profile, copy it into the
    folder `profiles` of the configuration folder (~/.config/widthlaw, or WIDTHLAW_CONFIG), or anywhere.
    """
    print_records(profile_records(), form)


def profile_records() -> list[Record]:
    """Return a record for each profile; an unreadable one is listed with the reason."""
    from jobs.cluster.profile import profile_files

    return [_profile_record(name, file) for name, file in profile_files().items()]


def _profile_record(name: str, file: Path) -> Record:
    from jobs.cluster.job_scripts import why_unusable
    from jobs.cluster.profile import ProfileError, is_bundled, load_profile

    try:
        profile = load_profile(file)
        system, about, why_not = profile.system, profile.about, why_unusable(profile)
    except ProfileError as error:
        system, about, why_not = "-", "", "; ".join(map(str.strip, str(error).splitlines()))
    return {
        "profile": name,
        "system": system,
        "usable": "no" if why_not else "yes",
        "from": "bundled" if is_bundled(file) else str(file),
        "about": about,
        "why not": why_not or "",
    }
