"""Files of rows: what a kill, a full disk and a wrong line leave behind."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.errors import ConfigurationError
from training.row_file import Row, RowFile, parse_row, read_rows, write_rows

ROOT = Path(__file__).parents[3]


class Word(Row):
    text: str = ""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "words.jsonl"


def _write(path: Path, *rows: Word) -> None:
    with RowFile(path, Word) as file:
        for row in rows:
            file.append(row)


def test_rows_are_there_when_the_file_is_opened_again(path: Path) -> None:
    _write(path, Word(key="a", text="x"), Word(key="b"))
    with RowFile(path, Word) as file:
        assert file.present == {"a", "b"}
    assert list(read_rows(path, Word)) == [Word(key="a", text="x"), Word(key="b")]


def test_a_row_is_present_as_soon_as_it_is_written(path: Path) -> None:
    with RowFile(path, Word) as file:
        file.append(Word(key="a"))
        assert file.present == {"a"}
        assert path.read_bytes() == b'{"key":"a"}\n'


def test_a_row_with_an_error_is_kept_but_not_present(path: Path) -> None:
    _write(path, Word(key="a", error="quota gone"))
    with RowFile(path, Word) as file:
        assert file.present == set()
    assert [row.error for row in read_rows(path, Word)] == ["quota gone"]


def test_the_last_row_of_a_key_holds(path: Path) -> None:
    _write(path, Word(key="a", error="down"), Word(key="b"), Word(key="a", text="up"))
    assert list(read_rows(path, Word)) == [Word(key="a", text="up"), Word(key="b")]
    _write(path, Word(key="b", error="down"))
    with RowFile(path, Word) as file:
        assert file.present == {"a"}


@pytest.mark.parametrize("torn", [b"{", b'{"key":"b","text":"\xc3', b'{"key":"b"}'])
def test_a_torn_last_line_is_cut_off_and_work_goes_on(path: Path, torn: bytes) -> None:
    _write(path, Word(key="a"))
    with path.open("ab") as file:
        file.write(torn)
    assert [row.key for row in read_rows(path, Word)] == ["a"]
    with RowFile(path, Word) as rows:
        assert rows.present == {"a"}
        rows.append(Word(key="b"))
    assert path.read_bytes() == b'{"key":"a"}\n{"key":"b"}\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"key":"b","text":7}', "text: Input should be a valid string, got 7"),
        (b'{"key":""}', "key: String should have at least 1 character, got ''"),
        (b'{"text":"x"}', "key: Field required, got {'text': 'x'}"),
        (b'{"key":"b","txt":"x"}', "txt: Extra inputs are not permitted, got 'x'"),
        (b"[1]", "row: Input should be an object, got [1]"),
        (b"\x00\x00", "row: Invalid JSON"),
        (b"", "row: Invalid JSON"),
        (b'{"key":"\\ud800"}', "row: Invalid JSON"),
    ],
)
def test_a_wrong_line_is_named_with_its_place_field_and_value(
    path: Path, line: bytes, said: str
) -> None:
    _write(path, Word(key="a"))
    with path.open("ab") as file:
        file.write(line + b"\n")
    for read in (lambda: list(read_rows(path, Word)), RowFile(path, Word).__enter__):
        with pytest.raises(ConfigurationError) as raised:
            read()
        assert raised.value.message.startswith(f"{path}:2: {said}")


def test_a_full_disk_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RowFile(path, Word) as file:
        file.append(Word(key="a"))
        raw = file._file

        class Full:
            def write(self, line: bytes) -> int:
                raw.write(line[:5])
                raise OSError(errno.ENOSPC, "No space left on device")

            def fileno(self) -> int:
                return raw.fileno()

            def close(self) -> None:
                raw.close()

        monkeypatch.setattr(file, "_file", Full())
        with pytest.raises(ConfigurationError) as raised:
            file.append(Word(key="b"))
        assert raised.value.message == (
            f"{path} cannot be written: No space left on device. What was written before is kept; "
            f"make room and run the same command again."
        )
        assert file.present == {"a"}
        assert path.read_bytes() == b'{"key":"a"}\n'


def test_a_row_written_in_part_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RowFile(path, Word) as file:
        file.append(Word(key="a"))
        raw = file._file

        class Short:
            def write(self, line: bytes) -> int:
                return raw.write(line[:5])

            def fileno(self) -> int:
                return raw.fileno()

            def close(self) -> None:
                raw.close()

        monkeypatch.setattr(file, "_file", Short())
        with pytest.raises(ConfigurationError, match="the disk is full"):
            file.append(Word(key="b"))
    _write(path, Word(key="b"))
    assert path.read_bytes() == b'{"key":"a"}\n{"key":"b"}\n'


LIMITED = """
import resource, sys
from pathlib import Path
from tests.unit.training.test_row_file import ConfigurationError, RowFile, Word
resource.setrlimit(resource.RLIMIT_FSIZE, (30, 30))
try:
    with RowFile(Path(sys.argv[1]), Word) as file:
        for key in "abcdef":
            file.append(Word(key=key))
except ConfigurationError as error:
    print(error.message)
"""


def test_a_file_that_may_grow_no_further_keeps_its_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(f"{path} cannot be written: ")
    assert path.read_bytes() == b'{"key":"a"}\n{"key":"b"}\n'


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("no folder")
    path = tmp_path / "folder" / "words.jsonl"
    with pytest.raises(ConfigurationError, match=f"{path} cannot be written"), RowFile(path, Word):
        pass


def test_no_file_holds_no_rows(path: Path) -> None:
    assert list(read_rows(path, Word)) == []


def test_a_whole_file_is_written_at_once_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "words.jsonl"
    assert write_rows(path, [Word(key="a"), Word(key="b")]) == 2

    def breaking() -> object:
        yield Word(key="c")
        raise ConfigurationError("broken")

    with pytest.raises(ConfigurationError, match="broken"):
        write_rows(path, breaking())  # type: ignore[arg-type]
    assert [row.key for row in read_rows(path, Word)] == ["a", "b"]
    assert write_rows(path, []) == 0
    assert list(read_rows(path, Word)) == []


# Every character a line could be broken at by mistake, beside any other.
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    '\u2028\u2029\x85\x00\n\r\x0b"\\'
)


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.tuples(TEXTS.filter(bool), TEXTS, TEXTS), max_size=5))
def test_any_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "words.jsonl"
    written = [Word(key=key, text=text, error=error) for key, text, error in rows]
    _write(path, *written)
    last = {row.key: row for row in written}
    assert {row.key: row for row in read_rows(path, Word)} == last
    with RowFile(path, Word) as file:
        assert file.present == {key for key, row in last.items() if not row.error}


@settings(deadline=None, max_examples=50)
@given(cut=st.integers(0, 60), texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_wherever_a_file_is_torn_its_whole_rows_are_kept(
    tmp_path_factory: pytest.TempPathFactory, cut: int, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "words.jsonl"
    _write(path, *(Word(key=str(number), text=text) for number, text in enumerate(texts)))
    left = path.read_bytes()[:cut]
    path.write_bytes(left)
    with RowFile(path, Word) as file:
        assert len(file.present) == left.count(b"\n")
    assert path.read_bytes() == left[: left.rfind(b"\n") + 1]


def test_a_lone_surrogate_is_refused_and_leaves_the_file_as_it_was(path: Path) -> None:
    with RowFile(path, Word) as file:
        file.append(Word(key="a"))
        with pytest.raises(ConfigurationError, match=r"^row 'b' cannot be written: .*surrogates"):
            file.append(Word(key="b", text="\ud800"))
    assert path.read_bytes() == b'{"key":"a"}\n'


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Word(key="a").key = "b"  # type: ignore[misc]


def test_a_parsed_row_names_the_place_it_was_given() -> None:
    with pytest.raises(ConfigurationError, match=r"^here: key: Field required"):
        parse_row(b"{}", Word, "here")
