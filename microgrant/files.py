"""Files that are written whole.

With this module you can

- write a file, or leave the old one as it is:     write_file(Path("step.svg"), data)
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["write_file"]


def write_file(target: Path, data: bytes) -> None:
    """Write beside the target, then move: there is the old file or the new one, never half of one.

    What a link points to is replaced, and not the link. An OSError says what is wrong with the
    folder or the file; then the old file is as it was. A process that is killed while it writes may
    leave a hidden file beside the target.
    """
    try:
        _write_beside(Path(os.path.realpath(target)), data)
    except OSError as error:  # about a file that the user never named
        raise type(error)(error.errno, error.strerror, str(target)) from None
    except ValueError:  # of a name that no file can have
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(target)) from None


def _write_beside(target: Path, data: bytes) -> None:
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    exists = target.exists()
    if exists and not target.is_file():  # /dev/null, say, which a move would take from all others
        raise OSError(errno.EINVAL, "Not a file that could be replaced")
    beside = target.with_name(f".{target.name[:50]}.{os.urandom(4).hex()}")
    file = beside.open("xb")
    try:
        with file:
            if exists:
                beside.chmod(target.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or else a loss of power could leave the new name to nothing
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the move itself; Windows has no such call
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
