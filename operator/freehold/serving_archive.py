"""The code that runs inside Ray, read off the disk into an archive."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

import freehold.serving

# The same bytes for the same code: ZIP stores a time with every file.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# In an image that has Freehold installed, too, the archive's part comes first and the rest of the
# package stays to be found. No version: the archive changes when its code does.
_PACKAGE = b'''"""Freehold, as far as it runs inside Ray."""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
'''


@functools.cache
def serving_archive() -> bytes:
    """Return a ZIP with ``freehold`` and all of ``freehold.serving``, always the same bytes.

    It can stand on ``PYTHONPATH`` as it is. Ray, too, unpacks ``py_modules`` so that the one folder
    at the top is the module.
    """
    folder = Path(next(iter(freehold.serving.__path__)))
    files = {"freehold/__init__.py": _PACKAGE}
    for path in sorted(folder.rglob("*.py")):
        files[f"freehold/serving/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    buffer = io.BytesIO()
    # stored, not deflated: compressors differ from one machine to the next
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return buffer.getvalue()
