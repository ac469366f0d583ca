"""Single runs of a recall lab: the explorer of one that failed, and what a model carries in one.

In: a failure, or a point that was measured. Out: an explorer at the step at which the answer was asked; a size.
"""

from __future__ import annotations

import math

from ..analysis.recall import RecallPoint
from ..analysis.recall_runs import RecallJob, RecallRuns
from ..errors import MemvizError
from ..frames.recall_failure import RecallFailure, recorded
from ..frames.recall_rows import State, carried_state
from .activation_explorer import ActivationExplorer
from .attention_explorer import AttentionExplorer
from .explorer import Explorer
from .memory_explorer import MemoryExplorer


def explorer_of(failure: RecallFailure) -> Explorer:
    """Of a model with a memory a MemoryExplorer, else an AttentionExplorer, else an ActivationExplorer."""
    cache = failure.cache
    if cache.memories():
        explorer: Explorer = MemoryExplorer(cache)
        explorer.selection.time = failure.asked_step
    elif any(record.kind == "attention" and record.available for record in cache.records):
        explorer = AttentionExplorer(cache)
        layer = _most_read(failure)
        if layer:
            explorer.selection.layer = layer
        explorer.selection.query, explorer.selection.key = failure.asked_step, failure.written_step
    else:
        explorer = ActivationExplorer(cache)
    return explorer


def state_at(runs: RecallRuns, job: RecallJob, point: RecallPoint) -> State:
    """What the model of a point carries from step to step in one of its sequences."""
    try:
        cache = recorded(runs, job, point.batch().inputs[:1])
    except MemvizError as error:
        return None, None, f"not known: {error}"
    size = carried_state(cache)
    cache.close()
    return size


def _most_read(failure: RecallFailure) -> str:
    """The layer of attention whose reads have most weight on the step that showed the answer; "" = none."""
    read = {name: found.read for name, found in failure.diagnoses.items() if not math.isnan(found.read)}
    return max(read, key=lambda name: read[name], default="")
