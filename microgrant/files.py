"""Files that are written whole.

With this module you can

- write a file, or leave the old one as it is:     write_file(Path("step.svg"), data)
"""

from __future__ import annotations

import errno
import os
import tempfile
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


def _write_beside(target: Path, data: bytes) -> None:
    mode = 0o666 & ~_umask()
    if target.exists():
        if not target.is_file():  # /dev/null, say, which a move would take from the whole system
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            raise OSError(errno.EINVAL, "Not a file that could be replaced")
        mode = target.stat().st_mode & 0o777
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:50]}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or else a loss of power could leave the new name to nothing
        beside.chmod(mode)
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


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask
