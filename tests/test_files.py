"""Atomic writing, on disks that really fail."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_caption.errors import UserError
from gan_caption.files import check_file, check_folder, new_folder, read_at, renewed_folder, write_atomically
from tests.small_disk import small_disk

ROOT = Path(__file__).parents[1]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "state.bin"
    write_atomically(path, lambda file: file.write(b"one"))
    write_atomically(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["state.bin"]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "state.bin"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state.bin"]


def test_users_errors_come_through(tmp_path):
    def write(file):
        try:
            Path(tmp_path / "absent" / "x").read_bytes()
        except OSError as error:
            raise UserError("mine") from error

    with pytest.raises(UserError, match=r"^mine$"):
        write_atomically(tmp_path / "state.bin", write)


def test_the_file_is_not_seen_before_it_is_complete(tmp_path):
    path = tmp_path / "state.bin"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"

    os.link(path, tmp_path / "link")  # another name of the old file, which must be replaced and not written over
    write_atomically(path, write)
    assert path.read_bytes() == b"new"
    assert (tmp_path / "link").read_bytes() == b"old"


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"^cannot save .*/file/state\.bin: .*Choose another folder: a part of this path"
    ):
        write_atomically(tmp_path / "file" / "state.bin", lambda file: file.write(b"x"))


@pytest.mark.parametrize("place", ["{long}.bin", "{long}/state.bin"])
def test_a_name_that_is_too_long_for_the_disk(tmp_path, place):
    with pytest.raises(UserError, match=r"^cannot save .*Choose a shorter name\.$"):
        write_atomically(tmp_path / place.format(long="n" * 300), lambda file: file.write(b"x"))
    check_folder(tmp_path / ("n" * 300) / "inside", "out=there")  # which is said when it is made
    refused = pytest.raises(UserError, match=r"^out=there cannot be written: .*Choose a shorter name\.$")
    with refused, new_folder(tmp_path / ("n" * 300), "out=there"):
        pass


LIMITED = """
import resource, signal, sys
from pathlib import Path
from gan_caption.errors import UserError
from gan_caption.files import write_atomically

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
if sys.argv[2] == "torch":
    import torch
    write = lambda file: torch.save({"weights": torch.zeros(5000)}, file)
else:
    write = lambda file: file.write(bytes(20000))
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    write_atomically(path, write)
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["bytes", "torch"])
def test_file_too_large(tmp_path, what):
    """The limit on file sizes makes any disk fail in the middle of a write."""
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", LIMITED, str(path), what]
    result = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    assert result.stdout == (
        f"cannot save {path}: File too large. The version saved before is intact. "
        "Raise the limit on the size of a file (`ulimit -f`) and start again.\n"
    )
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["last.pt"]


@pytest.fixture
def full_disk(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as folder:  # elsewhere the limit on file sizes stands in for it, above
        yield folder


def test_full_disk(full_disk):
    path = full_disk / "last.pt"
    with pytest.raises(UserError, match=r"No space left on device\. Nothing half-written is left\. Free some space"):
        write_atomically(path, lambda file: file.write(os.urandom(100_000)))
    assert names(full_disk) == []
    write_atomically(path, lambda file: file.write(b"old" * 10_000))
    with pytest.raises(UserError, match=r"No space left on device\. The version saved before is intact\. Free some"):
        write_atomically(path, lambda file: file.write(os.urandom(60_000)))
    assert path.read_bytes() == b"old" * 10_000
    assert names(full_disk) == ["last.pt"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            UserError,
            r"^out=x cannot be written: No space left .*Free",
        ),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (ValueError("a bug"), ValueError, "a bug"),
    ],
)
def test_a_folder_is_written_as_a_whole_or_not_at_all(tmp_path, there, error, raised, told):
    path = tmp_path / "out"
    if there:
        path.mkdir()
        (path / "old").touch()

    def write(fail: bool) -> None:
        with renewed_folder(path, "out=x") as folder:
            (folder / "half").write_bytes(b"half")
            if fail:
                raise error

    with pytest.raises(raised, match=told):
        write(fail=True)
    assert names(tmp_path) == ["out"] * there
    assert not there or names(path) == ["old"]
    write(fail=False)
    assert (names(tmp_path), names(path)) == (["out"], ["half"])


def test_a_link_to_a_folder_stays_one(tmp_path):
    """As of a small disk to a large one."""
    (tmp_path / "large").mkdir()
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "shards").symlink_to(tmp_path / "large")
    with new_folder(tmp_path / "small" / "shards", "shards.folder=shards") as draft:
        assert draft.parent == tmp_path, "beside what is linked to"
        (draft / "a").touch()
    assert (tmp_path / "small" / "shards").is_symlink()
    assert (names(tmp_path / "large"), names(tmp_path / "small")) == (["a"], ["shards"])


def test_a_mounted_disk_is_told_before_anything_is_written(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        told = r"^out=disk: a disk is mounted at .*/disk, .* give a folder in it$"
        with pytest.raises(UserError, match=told), new_folder(disk, "out=disk"):
            raise AssertionError("nothing is made first")
        assert names(tmp_path) == ["disk"]


def test_two_that_write_one_folder_do_not_meet(tmp_path):
    """As two containers do on one disk, in which all processes have the same number."""
    with renewed_folder(tmp_path / "out", "out=x") as first:
        (first / "first").touch()
        with renewed_folder(tmp_path / "out", "out=x") as second:
            (second / "second").touch()
        assert names(first) == ["first"]
    assert names(tmp_path / "out") == ["first"]


def test_a_new_folder_takes_nobodys_place(tmp_path):
    """What another process finished meanwhile stays, as does what its user put there."""
    path = tmp_path / "out"
    path.mkdir()
    refused = pytest.raises(UserError, match=r"^out=x cannot be written: .*not empty. What was there before is intact")
    with refused, new_folder(path, "out=x") as draft:
        (draft / "mine").touch()
        (path / "theirs").touch()
    assert (names(tmp_path), names(path)) == (["out"], ["theirs"])


def test_forks_read_from_one_file_at_once(tmp_path):
    """They share the place in it where `seek` puts them."""
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(b"%08d" % number for number in range(1000)))
    with path.open("rb") as file:
        children = []
        for child in range(2):
            if not (pid := os.fork()):
                wrong = True
                try:
                    wrong = any(
                        read_at(file, 8 * number, 8) != b"%08d" % number
                        for turn in range(30) for number in range(child, 1000, 2)
                    )  # fmt: skip
                finally:
                    os._exit(wrong)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]


@pytest.mark.parametrize("name", ["pipe", "/dev/null", "/dev/stdout"])
def test_devices_and_pipes_are_no_files_to_replace(tmp_path, name):
    """What is written takes the place of what was there: as root, of the machine's own /dev/null."""
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    with pytest.raises(UserError, match=r"^out=x: a device or a pipe has this name"):
        check_file(path, "out=x")
    (tmp_path / "there.json").touch()
    check_file(tmp_path / "there.json", "out=x")
