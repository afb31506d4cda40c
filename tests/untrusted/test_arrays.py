"""Headers of .npy files that claim anything."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from gan_caption.untrusted.arrays import header, numbers


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_array_is_read(version):
    content = io.BytesIO()
    kept = np.arange(6, dtype=np.float16).reshape(2, 3)
    np.lib.format.write_array(content, kept, version=version)
    content.seek(0)
    told = header(content)
    assert told.shape == (2, 3)
    assert np.array_equal(numbers(content, told), kept)


class Endless(io.BytesIO):
    """A file of spaces that says how much of it was asked for."""

    asked = 0

    def read(self, size=-1):
        self.asked = max(self.asked, size)
        return super().read(size).ljust(min(size, 1 << 16), b" ")


@pytest.mark.parametrize("claimed", [10_001, 600_000_000, 2**32 - 1])
def test_a_header_that_claims_gigabytes_is_not_read(claimed):
    """A kilobyte of an archive unpacks to a megabyte of spaces, and numpy reads a header before it looks at it."""
    file = Endless(b"\x93NUMPY\x02\x00" + struct.pack("<I", claimed))
    with pytest.raises(ValueError, match=f"its header has {claimed} bytes"):
        header(file)
    assert file.asked < 100
