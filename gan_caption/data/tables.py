"""CSV files with a line of columns: rows by column, and what is wrong with them by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_caption.data.annotations import beginning, read_text
from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import some


def read_table(path: Path, columns: Sequence[str], *, wanted: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row stands, and its fields by column, stripped.

    Args:
        path: of the file; its first line names the columns.
        columns: that it must have.
        wanted: says which they are, for messages.

    Raises:
        UserError: as `read_text`; a column is missing or any comes twice, a row has more or fewer fields, or quotation
            marks do not fit.
    """
    # Strict: else a quotation mark that is never closed swallows the rest of the file without a word.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] = []
    start = 1
    try:
        for fields in reader:
            where, start = f"{path}, line {start}", reader.line_num + 1
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = [field.strip() for field in fields]
                if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
                    raise UserError(f"{where}: several columns are called {some(twice)}: give each a name of its own")
                if not {*columns} <= {*header}:
                    raise UserError(f"{where}: the columns are {some(header)}; {wanted}, separated by commas")
                continue
            if len(fields) != len(header):
                raise UserError(
                    f"{where}: {len(fields)} fields, but {len(header)} columns ({some(header)}); the line begins "
                    f"{beginning(','.join(fields))}. A caption with a comma needs quotation marks around it"
                )
            yield where, {name: field.strip() for name, field in zip(header, fields, strict=True)}
    except csv.Error as error:
        raise UserError(
            f"{path}, line {start}: no CSV ({error}): a quotation mark inside quotation marks is written twice, or "
            "the file is cut short"
        ) from error
