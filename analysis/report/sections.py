"""The section of a store: its question, figures and numbers, and their origin."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.claims import Claim, claims_of
from analysis.figures import FIGURES, data_of, kinds_for
from analysis.report.advice import FEWEST_WIDTHS, Advice, advice_on_sides, advice_on_widths
from analysis.report.diagram import Diagram, diagram_of
from analysis.report.download import Download, csv_of, download_of
from analysis.report.drawing import inline, svg_of, width_of
from analysis.report.limits import Limits, limits_of
from analysis.report.numbers import number
from analysis.report.published import Compared, Published, compared
from analysis.scaling import distinguishable, rule_of_words
from analysis.scaling.laws import exponents_of, group_columns
from analysis.study import Study
from analysis.success.rules import rule_for
from pipeline.errors import InputError
from pipeline.store.reading import sweep_from
from pipeline.sweep_files.load import bundled_sweeps
from pipeline.trial_status import Status

__all__ = ["Picture", "Section", "law_table", "section_of"]

QUESTIONS = {
    "conditioning": "How wide must random features be for their least singular value to reach alpha?",
    "spectrum": "How are the singular values of random features distributed?",
    "linear": "Where does gradient descent on a linear model end, and how fast?",
    "output": "How wide must a network be for its output layer alone to fit?",
    "input": "How wide must a network be for its input layer alone to fit?",
    "joint": "Which weights need the fewest hidden units to fit?",
    "deep": "How does the number of hidden layers change the width that is needed?",
    "tangent": "How wide must a network be for its linearisation at the start to fit any labels?",
    "theorem1": "Do the bounds of Theorem 1 hold at every step of descent?",
    "theorem2-proof": "How loose is each step of the proof of Theorem 2?",
    "generalisation": "How does the gap between test and training loss decrease with n?",
}
"""Questions of the experiments, for sweep files without an opening comment."""

OWN = ("phase",)
"""Figures that the page replaces by its interactive diagram."""

OF_WIDTHS = ("laws", "ratios", "collapse", "thresholds")
"""Figures that are empty if no critical width is located."""

WIDE = 700
"""Width in pixels above which two figures do not fit side by side."""


@dataclass(frozen=True)
class Picture:
    """A figure with its kind, its caption and its data; a wide one gets a row of its own."""

    kind: str
    caption: str
    svg: str
    data: Download
    is_wide: bool


@dataclass(frozen=True)
class Section:
    """The content of the section of one store."""

    anchor: str
    name: str
    store: str
    experiment: str
    is_own: bool
    question: str
    counts: dict[str, int]
    messages: list[tuple[str, int]]
    claims: list[Claim]
    published: list[Compared]
    diagram: Diagram | None
    counted: Download | None
    laws: list[dict[str, str]]
    verdict: list[str]
    pictures: list[Picture]
    limits: Limits | None
    advice: Advice | None
    command: list[str]
    sweep: str
    provenance: list[tuple[str, str]]
    created: str
    maker: str

    @property
    def trials(self) -> int:
        """Number of trials of the sweep."""
        return sum(self.counts.values())

    @property
    def figures(self) -> list[str]:
        """Kinds of the figures, in the order of the page."""
        return ["phase"] * (self.diagram is not None) + [picture.kind for picture in self.pictures]


def section_of(
    study: Study,
    store: str,
    anchor: str,
    drawn: Mapping[str, tuple[str, pd.DataFrame]] | None = None,
    published: Iterable[Published] = (),
) -> Section:
    """Return the section of a store.

    Parameters
    ----------
    study
        The store, with the requested success.
    store
        Its path, as a command takes it.
    anchor
        Prefix of all ids of the section; no other section may have it.
    drawn
        The figures as SVG with their data, by kind, if they have been drawn already; None draws them.
    published
        Published numbers; the section has those that belong to the sweep of the store.

    Raises
    ------
    InputError
        If the success does not suit the store.
    """
    ds = study.ds
    attrs: dict[str, Any] = ds.attrs
    sweep = str(attrs.get("sweep", ""))
    diagram = diagram_of(study) if _has_transition(study) else None
    diagram = diagram if diagram and diagram.panels else None
    is_blank = diagram is not None and not diagram.is_located
    laws, verdict = _laws(study) if diagram and not is_blank else ([], [])
    left_out = (*OWN, *OF_WIDTHS) if is_blank else OWN
    claims = claims_of(study.default)
    return Section(
        anchor=anchor,
        name=str(attrs.get("name", "")),
        store=store,
        experiment=str(attrs.get("experiment", "")),
        is_own="own" in attrs,
        question=_question(attrs, sweep),
        counts=_counts(study),
        messages=_messages(study),
        claims=claims,
        published=compared(published, ds),
        diagram=diagram,
        counted=_counts_of(diagram, str(attrs.get("name", ""))) if diagram else None,
        laws=laws,
        verdict=verdict,
        pictures=_pictures(study, anchor, drawn, left_out),
        limits=limits_of(study),
        advice=None if claims and diagram is None else _advice(study, diagram, store),
        command=_command(attrs, sweep, store),
        sweep=sweep,
        provenance=_provenance(attrs),
        created=str(_nested(attrs, "provenance", "created") or ""),
        maker=_maker(attrs),
    )


def _has_transition(study: Study) -> bool:
    """Return True if the store can locate a transition, or if a success was given explicitly."""
    if not study.success.is_default:
        rule_for(study.ds, study.success)
        return True
    return _has_rule(study) and bool(study.ds.sizes["width"] >= FEWEST_WIDTHS)


def _has_rule(study: Study) -> bool:
    """Return True if the success of a study is defined."""
    try:
        rule_for(study.ds, study.success)
    except InputError:
        return False
    return True


def _advice(study: Study, diagram: Diagram | None, store: str) -> Advice | None:
    """Return why a section shows no critical width; None if it shows one, or seeks none."""
    if not (study.ds.status == Status.DONE).any():  # the section says that already
        return None
    if _has_rule(study) and (few := advice_on_widths(study.ds, store)):
        return few
    return None if diagram is None else advice_on_sides(diagram, study.ds, store)


def _question(attrs: Mapping[str, Any], sweep: str) -> str:
    """Return the opening comment of the sweep file, or the question of its experiment."""
    lines = sweep.splitlines()
    opening = lines[0].lstrip("# ") if lines and lines[0].startswith("#") else ""
    return opening or QUESTIONS.get(str(attrs.get("experiment")), "")


def _counts(study: Study) -> dict[str, int]:
    found = Counter(study.ds.status.values.ravel().tolist())
    return {status.word: found[status] for status in Status if status.is_requested}


def _messages(study: Study, most: int = 5) -> list[tuple[str, int]]:
    """Return the messages of failed trials with their counts, most frequent first."""
    if "message" not in study.ds:
        return []
    failed = (study.ds.status == Status.FAILED).values
    counts = Counter(map(str, study.ds.message.values[failed].tolist()))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _laws(study: Study) -> tuple[list[dict[str, str]], list[str]]:
    """Return the table of laws, and a text per group on which laws fit; or on why none is."""
    try:
        laws = study.laws
    except ValueError as error:
        return [], [f"No law is fitted: {error}."]
    rows, texts, rule = law_table(laws)
    return rows, texts + rule


def law_table(laws: pd.DataFrame) -> tuple[list[dict[str, str]], list[str], list[str]]:
    """Return the rows of a table of laws, a text per group on which laws fit, and the words' rule."""
    groups = group_columns(laws)
    parts = [part for _, part in laws.groupby(groups, sort=False)] if groups else [laws]
    rows = [_law(row, groups) for _, row in laws.iterrows()]
    rule = [rule_of_words()] if laws["delta_aicc"].notna().any() else []
    return rows, [distinguishable(part) for part in parts], rule


def _law(row: pd.Series[Any], groups: list[Any]) -> dict[str, str]:
    return {
        "group": ", ".join(f"{name} {row[name]}" for name in groups),
        "law": str(row["formula"]),
        "constant": number(row["constant"]),
        "exponents": ", ".join(_exponent(*exponent) for exponent in exponents_of(row)) or "–",
        "residual": number(row["rms_log_residual"]),
        "delta": f"{row['delta_aicc']:.1f}" if row["delta_aicc"] < 1e6 else "–",
        "weight": f"{row['weight']:.2f}" if row["weight"] == row["weight"] else "–",
        "left out": number(row["error_largest_n"]),
    }  # fmt: skip


def _exponent(name: str, value: float, low: float, high: float) -> str:
    return f"{name}: {value:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")


def _counts_of(diagram: Diagram, name: str) -> Download:
    """Return the counts of a phase diagram to download."""
    points = diagram.points()
    return download_of(_file_name(name, "phase"), csv_of(pd.DataFrame(points)))


def _file_name(name: str, kind: str) -> str:
    """Return the name of a file for a figure; a sweep can have any name, a file cannot."""
    return re.sub(r"[^\w.-]+", "-", f"{name}-{kind}").strip("-.")


def _drawn(study: Study, left_out: Container[str]) -> dict[str, tuple[str, pd.DataFrame]]:
    """Draw the figures that suit the store, except some; none unless a trial is done."""
    if not (study.ds.status == Status.DONE).any():
        return {}
    kinds = [kind for kind in kinds_for(study.ds, study.success) if kind not in left_out]
    figures = {kind: FIGURES[kind].captioned(study)[0] for kind in kinds}
    return {
        kind: (svg_of(figure), data_of(figure))
        for kind, figure in figures.items()
        if not figure.sentence  # else the store has too little for it
    }


def _pictures(
    study: Study,
    anchor: str,
    drawn: Mapping[str, tuple[str, pd.DataFrame]] | None,
    left_out: Container[str],
) -> list[Picture]:
    """Return the figures of a store for the page, except some."""
    drawn = _drawn(study, left_out) if drawn is None else drawn
    name = str(study.ds.attrs.get("name", ""))
    pictures = []
    shown = [kind for kind in drawn if kind not in left_out]
    for index, kind in enumerate(shown):
        svg, data = drawn[kind]
        caption = FIGURES[kind].caption(study)
        pictures.append(
            Picture(
                kind,
                caption,
                inline(svg, f"{anchor}-{index}", f"{name}: {kind}", caption),
                download_of(_file_name(name, kind), csv_of(data)),
                width_of(svg) > WIDE,
            )
        )
    return pictures


def _command(attrs: Mapping[str, Any], sweep: str, store: str) -> list[str]:
    """Return the commands that recompute the store and fit it; a bundled sweep goes by its name.

    A comment names what other commands have added, which no sweep file tells.
    """
    name, made = str(attrs.get("name", "")), Path(store).name
    file = bundled_sweeps().get(name)
    bundled = file is not None and file.read_text() == sweep
    commands = [shlex.join(["widthlaw", "run", name if bundled else f"{name}.toml", "-o", made])]
    if isinstance(steps := attrs.get("steps"), int):
        commands += [
            shlex.join(["widthlaw", "extend", made, "--steps", str(steps)]),
            shlex.join(["widthlaw", "run", made]),
        ]
    if added := _added(attrs, store):
        commands.append(f"# extend, refine or merge then added values of {' and '.join(added)}")
        commands.append("# which of their trials there are, the store alone tells")
    return [*commands, shlex.join(["widthlaw", "fit", made])]


def _added(attrs: Mapping[str, Any], store: str) -> list[str]:
    """Return the axes of a store that have values which its sweep file does not give."""
    extents = attrs.get("extents")
    if not isinstance(extents, Mapping):
        return []
    try:
        written = sweep_from(store, dict(attrs))
    except InputError:  # such as code of one's own that is not here
        return []
    axes = {"d": written.d, "n": written.n, "width": written.width}
    added = [axis for axis, values in axes.items() if not {*extents.get(axis, ())} <= {*values}]
    seeds = sum(end - start for start, end in extents.get("seeds", ()))
    return [*added, *(["seeds"] if seeds > len(written.seeds) else [])]


def _provenance(attrs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the provenance of a store as labels and texts."""
    fields = {
        "format version": attrs.get("format_version"),
        "identity": attrs.get("identity"),
        "digest of the axes": attrs.get("digest"),
        "numerics version": _nested(attrs, "identity_fields", "numerics_version"),
    }
    known = attrs.get("provenance")
    flat = _flat(known) if isinstance(known, Mapping) else {}
    return [(key, str(value)) for key, value in (fields | flat).items() if value is not None]


def _maker(attrs: Mapping[str, Any]) -> str:
    """Return the version that computed a store, and the commit if it ran from a checkout."""
    packages = _nested(attrs, "provenance", "packages")
    release = packages.get("widthlaw") if isinstance(packages, Mapping) else None
    commit = _nested(attrs, "provenance", "commit")
    changed = " with local changes" if _nested(attrs, "provenance", "dirty") else ""
    names = [
        f"widthlaw {release}" if release else "",
        f"commit {commit!s:.7}{changed}" if commit else "",
    ]
    return ", ".join(filter(None, names))


def _flat(known: Mapping[str, Any]) -> dict[str, str]:
    """Return nested provenance as one text per key."""
    return {str(key): _text(value) for key, value in known.items()}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    records = isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
    if isinstance(value, list) and records and all("created" in item for item in value):
        return "; ".join(map(_source, value))
    if isinstance(value, list) and records:
        return "; ".join(", ".join(map(str, item.values())) for item in value)
    return "unknown" if value is None else str(value)


def _source(record: Mapping[str, Any]) -> str:
    """Return when and by which version trials were made that a store has taken over."""
    steps = f", up to {record['steps']} steps" if isinstance(record.get("steps"), int) else ""
    return f"{record['created']} by {_maker({'provenance': record}) or 'an unknown version'}{steps}"


def _nested(attrs: Mapping[str, Any], outer: str, inner: str) -> Any:
    known = attrs.get(outer)
    return known.get(inner) if isinstance(known, Mapping) else None
