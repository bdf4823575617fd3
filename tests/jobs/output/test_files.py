"""One rule on files for all commands: what others have made stays, and no folder is made on the way."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from jobs.cli import main

COMMANDS = {
    "query": (["query", "{store}"], "rows.csv"),
    "fit": (["fit", "{store}"], "widths.json"),
    "plot": (["plot", "{store}", "--kind", "phase"], "phase.svg"),
    "report": (["report", "{store}"], "report.html"),
    "width": (["width", "{rows}", "--n", "5"], "width.png"),
    "reproduce": (["reproduce"], "claims.csv"),
}


@pytest.fixture(params=COMMANDS)
def command_and_file(request, complete, tmp_path):
    """A command with its -o, and the file that it would write."""
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.default_rng(0).standard_normal((8, 3)))
    words, name = COMMANDS[request.param]

    def line(folder):
        output = folder if request.param == "reproduce" else folder / name
        return [*(word.format(store=complete, rows=rows) for word in words), "-o", str(output)]

    return line, name


def test_a_file_of_somebody_else_stays(command_and_file, tmp_path) -> None:
    line, name = command_and_file
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_text("a text that says widthlaw")
    result = CliRunner().invoke(main, line(folder))
    assert result.exit_code == 2, result.output
    assert f"{folder / name}: the file exists already" in result.stderr
    assert "--overwrite" in result.stderr
    assert (folder / name).read_text() == "a text that says widthlaw"
    assert [file.name for file in folder.iterdir()] == [name]


def test_no_folder_is_made_on_the_way(command_and_file, tmp_path) -> None:
    line, _ = command_and_file
    result = CliRunner().invoke(main, line(tmp_path / "a" / "b"))
    assert result.exit_code == 2, result.output
    assert f"the folder {tmp_path / 'a'}" in result.stderr
    assert "does not exist; make it, or give" in result.stderr
    assert not (tmp_path / "a").exists()
