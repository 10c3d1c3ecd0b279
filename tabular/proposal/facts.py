"""What is in one column of a sample: its distinct texts or numbers, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tabular.contract import Contract, category_text
from tabular.tables.parquet_files import plain_type

DEFAULT_TOKENS = frozenset(
    token.casefold() for token in Contract.model_fields["missing_values"].default
)
# Texts that stand for "not known" in tables of the world, beside the contract's own.
WORDS_FOR_MISSING = frozenset(
    {
        "?", "-", "--", ".", "..", "#n/a", "#na", "n.a.", "n.a", "n/d", "nd", "nat", "<na>", "nil",
        "unknown", "unk", "not known", "not available", "missing", "undefined", "unspecified",
        "(null)", "\\n", "#null!", "#value!", "#div/0!", "not given", "-nan", "1.#qnan",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """One column of n rows.

    `counts` has the rows of each distinct text, the most frequent first, blanks around it stripped
    and missing ones left out. `numbers` (n,) float64, NaN where missing, is None unless the column
    is stored as numbers. `tokens` are the texts that stand for missing, as they are written.
    """

    name: str
    kind: pa.DataType
    n: int
    counts: dict[str, int]
    tokens: tuple[str, ...] = ()
    numbers: npt.NDArray[np.float64] | None = None
    texts: pa.Array = field(default=None, repr=False)

    @property
    def n_known(self) -> int:
        """Rows that hold a value."""
        return sum(self.counts.values())

    @property
    def missing_share(self) -> float:
        """Rows without a value, as a share."""
        return 1 - self.n_known / max(self.n, 1)

    @property
    def distinct_share(self) -> float:
        """Distinct values as a share of the rows that hold one."""
        return len(self.counts) / max(self.n_known, 1)

    @property
    def is_listed(self) -> bool:
        """Whether a value is no single value: a list, a document, bytes."""
        kind = self.kind
        return pa.types.is_nested(kind) or pa.types.is_binary(kind)

    @property
    def is_moment(self) -> bool:
        """Whether the column is stored as dates or moments."""
        return pa.types.is_date(self.kind) or pa.types.is_timestamp(self.kind)


def facts_of(name: str, values: pa.ChunkedArray) -> Facts:
    """Count what is in a column."""
    kind = plain_type(values.type)
    whole = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return Facts(name, kind, len(values), {})
    numbers = None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    texts = _texts(whole.cast(kind) if whole.type != kind else whole)
    counted = pc.value_counts(texts.drop_null())
    found: dict[str, int] = {}
    tokens: list[str] = []
    values_and_counts = zip(
        counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True
    )
    for text, n in sorted(values_and_counts, key=lambda pair: -pair[1]):
        folded = text.casefold()
        if folded in WORDS_FOR_MISSING and folded not in DEFAULT_TOKENS:
            tokens.append(text)
        elif folded not in DEFAULT_TOKENS:
            found[text] = found.get(text, 0) + n
    return Facts(name, kind, len(values), found, tuple(tokens), numbers, texts)


def _texts(values: pa.Array) -> pa.Array:
    """The values as texts without blanks around them; whole floats as whole numbers."""
    kind = values.type
    if pa.types.is_string(kind):
        return pc.utf8_trim_whitespace(values)
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        coded = values.dictionary_encode()
        texts = [category_text(value) for value in coded.dictionary.to_pylist()]
        return pa.array(texts, pa.string()).take(coded.indices)
    return values.cast(pa.string())
