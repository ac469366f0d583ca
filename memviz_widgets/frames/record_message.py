"""What the user must know about a record, as one line under its picture.

In: a record and its plan. Out: a sentence, "" when there is nothing to say.
"""

from __future__ import annotations

from ..analysis.memory import TRUSTED_RESIDUAL
from ..records import TensorRecord
from .cell_value import float_text
from .plan import RecordPlan


def record_message(record: TensorRecord, plan: RecordPlan) -> str:
    """What the user must know about this record, "" = nothing; several facts are joined by "; "."""
    if not record.available:
        return record.note or "not kept"
    facts = [
        record.note,
        _distrust(record),
        _emptiness(record),
        _sameness(record),
        "|z| of complex values is shown" if record.dtype.startswith("complex") else "",
        f"index 0 of {' and '.join(plan.fixed)} is shown" if plan.fixed else "",
    ]
    return "; ".join(fact for fact in facts if fact)


def _distrust(record: TensorRecord) -> str:
    """A warning for recovered values that are far from what the module returned."""
    if record.residual is None or record.residual <= TRUSTED_RESIDUAL:
        return ""
    error = f"{record.residual:.0e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"not trusted: recovered values differ by up to {error} from what the module returned"


def _emptiness(record: TensorRecord) -> str:
    if 0 not in record.shape:
        return ""
    return f"empty: shape ({', '.join(map(str, record.shape))}{',' if len(record.shape) == 1 else ''})"


def _sameness(record: TensorRecord) -> str:
    """A sentence for a record whose elements are all alike, or of which none is finite."""
    stats = record.stats
    if stats is None or stats.count < 2:
        return ""
    if stats.nan == stats.count:
        return f"all {stats.count:,} values are NaN"
    if stats.nan + stats.posinf + stats.neginf == stats.count:
        return f"no value is finite: {stats.nan:,} NaN, {stats.posinf:,} +Inf, {stats.neginf:,} -Inf"
    if stats.min is None or stats.min != stats.max or stats.nan + stats.posinf + stats.neginf:
        return ""
    what = "|z|" if record.dtype.startswith("complex") else "value"
    return f"every {what} is {_number_text(stats.min, record.dtype)}"


def _number_text(number: float, dtype: str) -> str:
    """A statistic of a record of this dtype, written as the dtype would be."""
    if dtype == "bool":
        return str(bool(number))
    if "float" in dtype or dtype.startswith("complex"):
        return float_text(number, "float64" if dtype == "complex128" else dtype)
    return f"{number:.0f}"
