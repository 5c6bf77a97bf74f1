# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all."""

import contextlib
import os
import pathlib


class Unusable(Exception):
    """A file that the user named cannot be read or written; the text says why."""


@contextlib.contextmanager
def replacement(path):
    """A binary file to write to, which takes the place of `path` if the block ends without an exception.

    What stands in the way is found before the block is entered.
    """
    path = pathlib.Path(path).resolve()
    if path.exists() and not path.is_file():
        raise Unusable(f"cannot write {path}: not a regular file")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = open(part, "xb")
    except OSError as error:
        raise Unusable(f"cannot write {path}: {error.strerror}") from error
    try:
        with file:
            yield file
        os.replace(part, path)
    except BaseException:
        part.unlink()
        raise
