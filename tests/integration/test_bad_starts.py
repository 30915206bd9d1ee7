"""What cannot work ends at once, with one line that says why."""

from __future__ import annotations

import pytest

from tests.service import run, service_environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"student__model": "/nowhere/model"}, "student.model: '/nowhere/model' is neither"),
        ({"student__model": "{empty}"}, "has no config.json"),
        ({"knowledge__path": "{empty}/none.db"}, "holds no active release"),
        ({"student__dtype": "int3"}, "NESYCD_STUDENT__DTYPE='int3'"),
        ({"gateway__port": "99999"}, "NESYCD_GATEWAY__PORT='99999'"),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_line_and_code_2(tmp_path, settings, said):
    empty = tmp_path / "empty"
    empty.mkdir()
    chosen = {key: value.format(empty=empty) for key, value in settings.items()}
    done = run("serve", environment=service_environment(tmp_path, **chosen))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("nesycd: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stderr


def test_a_broken_dump_stops_the_load_with_one_line_and_code_2(tmp_path):
    done = run("kb", "load", "/nowhere", environment=service_environment(tmp_path))
    assert done.returncode == 2
    assert "/nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "knowledge.db").exists()
