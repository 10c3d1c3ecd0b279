"""Small disks that fill: a tmpfs, which is unmounted whatever becomes of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

Disk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a disk of a size, such as 8m, and give its folder; skips where nobody may."""
    with ExitStack() as mounted:

        def mount(size: str) -> Path:
            number = len(list(tmp_path.glob("disk*")))
            folder = tmp_path / f"disk{number}"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("a tmpfs cannot be mounted here (needs root)")
            mounted.enter_context(unmounted_at_the_end(folder))
            return folder

        yield mount


@contextmanager
def unmounted_at_the_end(folder: Path) -> Iterator[None]:
    """Unmount, even where this process is killed: a shell waits for its pipe to close."""
    script = 'cat > /dev/null; exec umount --lazy "$0"'
    with subprocess.Popen(
        ["sh", "-c", script, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    ) as waiting:
        yield
    assert waiting.returncode == 0
