"""open_dataset: what record_dataset wrote, of one process or of several ranks, without the model.

In: a path or URL. Out: an ActivationDataset; or FormatError, which says what is wrong with it.
"""

from __future__ import annotations

import os

from ..errors import FormatError
from .budget import parse_budget
from .dataset_cache import ActivationDataset, read_contents
from .dataset_joined import open_ranks
from .dataset_ranks import read_whole
from .dataset_shards import DatasetFolder
from .store_files import damaged, store_place


def open_dataset(path: str | os.PathLike[str], *, budget: object = "1 GiB") -> ActivationDataset:
    """What :func:`record_dataset` wrote, without the model: also while it is being written, as far as it is.

    Of several ranks: all samples in the loader's order. A rank that is missing or not ready is said in ``summary``;
    its samples are NaN.

    Args:
        path: The folder, or its URL.
        budget: Bytes that values which are put together may occupy in memory.

    Raises:
        FormatError: when there is nothing, or it is foreign, newer or damaged.
        SaveError, MissingExtraError, BudgetError: about the arguments.
    """
    place = store_place(path)
    folder = DatasetFolder(place)
    budget_bytes = parse_budget(budget)
    try:
        label = folder.label()
        whole = read_whole(label)
        if whole is not None:
            return open_ranks(place, whole, budget_bytes)
        read = read_contents(folder, label)
        if read is None:
            raise FormatError("no sample is complete in it yet: its recording ended before the first commit")
    except FileNotFoundError as error:
        raise damaged(place, "there is nothing at this path" if not place.exists() else error) from error
    except (FormatError, OSError) as error:
        raise FormatError(
            f"{place.text!r} cannot be opened: {error}. Give a path that mv.record_dataset wrote, or record it again."
        ) from error
    return ActivationDataset(read[0], budget_bytes)
