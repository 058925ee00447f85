"""Dialect of a text table, from its first lines: encoding, separator, decimal mark, header."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from trainables.readers.kinds import content_of

SEPARATORS = ("\t", ",", ";", "|", " ")
NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "blanks"}
LINES = 12
"""Number of rows that decide the dialect."""
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
COMMA_NUMBER = re.compile(r"^-?\d+,\d+([eE][-+]?\d+)?$")
POINT_NUMBER = re.compile(r"^-?\d+\.\d+([eE][-+]?\d+)?$")
THOUSANDS = re.compile(r"^-?[1-9]\d{0,2}(,\d{3})+$")


@dataclass(frozen=True)
class Dialect:
    """Form of a text table."""

    encoding: str
    separator: str
    decimal: str
    header: tuple[str, ...]
    """Name of each column; that of the first, which names the rows, is "" where it has none."""
    skip: int
    """Number of lines to the end of the header."""


def dialect_of(path: Path, encoding: str | None = None) -> Dialect:
    """Return the dialect of a table, from its first lines.

    Raises ValueError for a table of a single column, or whose rows differ in length, and for
    numbers such as 1,234, which may be a thousand or one.
    """
    encoding = encoding or encoding_of(path)
    with lines_of(path, encoding) as lines:
        skip, given, comment, first = leading(lines)
        rows = [line for line in itertools.islice(lines, LINES) if line.strip()]
    if not first:
        raise ValueError(f"{path.name} is an empty file; write or download it again")
    separator = given or separator_of(first, rows)
    if separator is None:
        raise ValueError(single_column(path, first, rows))
    header, body = split(first, separator), [split(row, separator) for row in rows]
    width = len(body[0]) if body else len(header)
    if are_values(header[1:]):  # a row of numbers: the names are in a comment, or nowhere
        header, skip = comment.lstrip("# ").split(), skip - 1
        if len(header) not in (width, width - 1):
            raise ValueError(
                f"{path.name} has no header: its first row holds numbers, not names of genes"
                f" ({first.strip()[:40]}); write the names there"
            )
    if len(header) == width - 1:  # R's write.table names no column of row names
        header = ["", *header]
    return Dialect(encoding, separator, decimal_of(path, body), tuple(header), skip)


def are_values(fields: list[str]) -> bool:
    """Whether fields of a first line are numbers of a matrix, and not numbers as names.

    >>> are_values(["1.0", "0.0"]), are_values(["0", "1", "2"]), are_values(["7", "7"])
    (True, False, True)
    """
    if not fields or not all(re.match(r"^-?\d+([.,]\d+)?$", field) for field in fields):
        return False
    return len(set(fields)) < len(fields) or not all(field.isdigit() for field in fields)


def encoding_of(path: Path) -> str:
    """Return the encoding that the first bytes show; UTF-8 where they show none."""
    with content_of(path) as stream:
        start = stream.read(4096)
    for mark, encoding in BOMS.items():
        if start.startswith(mark):
            return encoding
    return "utf-8"


@contextmanager
def lines_of(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Yield the decompressed text of a file. Raises ValueError where its compression is broken."""
    with content_of(path) as stream:
        raw: Any = stream
        with io.TextIOWrapper(io.BufferedReader(raw), encoding) as text:
            yield text


def leading(lines: IO[str]) -> tuple[int, str | None, str, str]:
    """Return the number of lines up to the header's end, Excel's "sep=", the last comment, and
    the header.

    Comments (#) and blank lines before the header are passed over, but for one that is a header
    itself, since it has as many columns as the line that follows.
    """
    separator, comment = None, ""
    for number, line in enumerate(lines, start=1):
        if line.lower().startswith("sep=") and len(line.strip()) == 5:
            separator = line.strip()[4]
        elif line.startswith("#") and len(line.split("\t")) < 2 and len(line.split(",")) < 3:
            comment = line
        elif line.strip():
            return number, separator, comment, line
    return 0, separator, comment, ""


def split(line: str, separator: str) -> list[str]:
    """Return the fields of a line, without quotes and outer blanks."""
    line = line.strip(" \r\n") if separator == " " else line.rstrip("\r\n")
    try:
        fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        return [field.strip() for field in fields]
    except csv.Error:  # a field longer than any name: this is not the separator
        return [line]


def separator_of(header: str, rows: list[str]) -> str | None:
    """Return the separator that parts the header and every row alike; None where none does.

    >>> separator_of("cell;A;B", ["c1;0,5;1", "c2;0;1,5"])
    ';'
    """
    best: tuple[tuple[bool, bool, int], str] | None = None
    for separator in SEPARATORS:
        widths = {len(split(row, separator)) for row in rows}
        named = len(split(header, separator))
        if len(widths) > 1 or max(widths, default=named) < 2:
            continue
        width = max(widths, default=named)
        if named not in (width, width - 1):
            continue
        score = named == width, separator != " ", width
        if best is None or score > best[0]:
            best = score, separator
    return None if best is None else best[1]


def single_column(path: Path, header: str, rows: list[str]) -> str:
    """Return what is wrong with a table that no separator parts."""
    for separator in SEPARATORS:
        widths = [len(split(row, separator)) for row in (header, *rows)]
        if min(widths) > 1:
            odd = next(i for i, width in enumerate(widths) if width != widths[0])
            return (
                f"{path.name} is not a readable table: its header has {widths[0]} columns, and"
                f" row {odd} has {widths[odd]}; write it again with as many in each"
            )
    return f"{path.name} has a single column; separate columns by commas or tabs"


def decimal_of(path: Path, rows: list[list[str]]) -> str:
    """Return the decimal mark of the numbers. Raises ValueError for numbers such as 1,234."""
    values = [value for row in rows for value in row[1:]]
    commas = [value for value in values if COMMA_NUMBER.match(value) or THOUSANDS.match(value)]
    if not commas:
        return "."
    doubtful = all(THOUSANDS.match(value) for value in commas)
    if doubtful or any(POINT_NUMBER.match(value) for value in values):
        raise ValueError(
            f"{path.name} has numbers such as {commas[0]}, where the comma may part thousands or"
            " decimals; write it again with decimal points and nothing between thousands"
        )
    return ","
