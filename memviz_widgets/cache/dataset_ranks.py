"""A data set that several ranks record: the label of the whole, and what one rank needs to record its part alone.

In: where the whole goes, and whose part. Out: the folder of the part; a model that runs without the other ranks; or an
error that says why it cannot. Every rank writes the same label, so none waits for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from .. import capture as capturing
from ..errors import DatasetError, FormatError, SaveError
from .dataset_format import COMMIT_NAME, FORMAT, DatasetPlan, read_plan
from .dataset_layers import Found, Options, outputs_of
from .dataset_shards import DatasetFolder
from .dataset_share import BLOCKS, TURNS
from .launch import rank_of
from .opening import LABEL_KEY, LABEL_NAME
from .ranks_store import PARTS, describe_group, part_place
from .store_files import StorePlace
from .store_format_fields import Fields, parsed
from .store_format_records import MOST_RANKS

RANKS_FORMAT, RANKS_VERSION = "memviz_widgets data set ranks", 1


@dataclass(frozen=True, slots=True)
class Whole:
    """The label of a data set that several ranks record.

    Attributes:
        world_size: Number of ranks.
        split: How batches are dealt out, BLOCKS or TURNS.
    """

    world_size: int
    split: str

    def share(self, rank: int, batches: int) -> int:
        """How many of so many batches are of a rank."""
        if self.split == BLOCKS:
            return (rank + 1) * batches // self.world_size - rank * batches // self.world_size
        return len(range(rank, batches, self.world_size))


def read_whole(text: bytes) -> Whole | None:
    """What ``zarr.json`` says of several ranks; None when it is of something else.

    Raises:
        FormatError: when it is newer or damaged.
    """
    label = _label(text)
    if label is None or label.text("format") != RANKS_FORMAT:
        return None
    if label.whole("version") > RANKS_VERSION:
        raise FormatError(f"it has version {label.whole('version')} and this package reads {RANKS_VERSION}; update it")
    world_size, split = label.whole("world_size", MOST_RANKS + 1), label.text("split")
    if world_size < 1:
        raise label.refuse("world_size", "a number of ranks")
    if split not in (BLOCKS, TURNS):
        raise label.refuse("split", f"{BLOCKS!r} or {TURNS!r}")
    return Whole(world_size, split)


def begin_part(place: StorePlace, part: tuple[int, int], split: str) -> DatasetFolder:
    """The folder of a rank in that of the whole, which gets its label.

    Args:
        place: Of the whole.
        part: Rank and number of ranks.
        split: How batches are dealt out.

    Raises:
        DatasetError: when the whole was begun otherwise.
        SaveError: when something else is there.
    """
    wanted = Whole(part[1], split)
    _check_whole(place, wanted)
    attributes = {"format": RANKS_FORMAT, "version": RANKS_VERSION, "world_size": part[1], "split": split}
    describe_group(place.inside(LABEL_NAME), {LABEL_KEY: attributes})
    describe_group(place.inside(f"{PARTS}/{LABEL_NAME}"), {})
    return DatasetFolder(part_place(place, part[0]))


def check_neighbours(place: StorePlace, part: tuple[int, int], plan: DatasetPlan) -> None:
    """Compare what a rank records with what the ranks before and after it have committed.

    Called after a commit of its own: of two ranks the later one sees the other. So all are compared, however many.

    Raises:
        DatasetError: when another rank records another model, other layers or options.
    """
    rank, world_size = part
    for other in {(rank - 1) % world_size, (rank + 1) % world_size}:
        folder = DatasetFolder(part_place(place, other))
        try:
            if not folder.place.inside(COMMIT_NAME).exists():
                continue
            theirs = read_plan(folder.label())
        except (FormatError, OSError):
            continue  # said when the whole is opened
        if difference := theirs.difference(plan):
            raise DatasetError(
                f"rank {other} recorded {difference} as rank {rank}. Give all ranks the same model with the same "
                f"weights, the same layers and options, and another path than {place.text!r}."
            )


def refuse_ranks(place: StorePlace, text: bytes) -> None:
    """Refuse to go on alone with what several ranks began. Raises DatasetError, FormatError."""
    whole = read_whole(text)
    if whole is not None:
        raise DatasetError(
            f"{place.text!r} was begun by {whole.world_size} ranks, not by one process. Start as many again to go on "
            "with it, or give another path."
        )


def model_of_ranks(model: nn.Module, part: tuple[int, int] | None) -> tuple[nn.Module, capturing.SampleGroup | None]:
    """The model that a rank runs: of one in DistributedDataParallel the module inside.

    Args:
        model: As the user gave it.
        part: Rank and number of ranks, as the user gave them or the process group has them.

    Returns:
        Besides the model, the ranks that compute the same samples when its weights lie on several; None when each rank
        runs it by itself.

    Raises:
        DatasetError: when the forward asks other ranks in a way that the weights do not tell; or when the weights lie
            on the ranks of the process group, and ``part`` says otherwise who these are.
    """
    if type(model).__name__ == "DistributedDataParallel":
        inner = model.module
        assert isinstance(inner, nn.Module)
        model = inner
    here = rank_of()
    try:
        group = capturing.sample_group(model) if here is not None else None
    except capturing.UnknownGroupError as error:
        raise not_alone(str(error)) from error
    if group is None:
        if reason := capturing.why_collective(model):
            raise not_alone(reason)
        return model, None
    if here is not None and part != here:
        given = (0, 1) if part is None else part
        raise DatasetError(
            f"rank={given[0]}, world_size={given[1]}; the weights of this model lie on the ranks of the process group, "
            f"in which this is rank {here[0]} of {here[1]}. Leave both out, and call it on all of them."
        )
    return model, group


def outputs_of_one(model: nn.Module, batch: Any, options: Options) -> list[Found]:
    """As :func:`outputs_of`; a forward that asks other ranks is refused, since it would wait for ever.

    Raises:
        DatasetError: besides, when it does.
    """
    try:
        with capturing.without_collectives():
            return outputs_of(model, batch, options)
    except capturing.CollectiveError as error:
        raise not_alone(str(error)) from error


def not_alone(reason: str) -> DatasetError:
    """The error about a model that asks other ranks."""
    return DatasetError(
        f"each rank records its own batches, and cannot run this model alone: {reason}. Give each rank the whole model "
        "with all its weights, or record with rank=0, world_size=1 in one process that has them."
    )


def _check_whole(place: StorePlace, wanted: Whole) -> None:
    try:
        text = DatasetFolder(place).label()
        whole = read_whole(text)
    except FileNotFoundError:
        if _taken(place):
            if place.inside(LABEL_NAME).exists():  # another rank has written it meanwhile
                _check_whole(place, wanted)
                return
            raise SaveError(f"{place.text!r} exists and is no data set; give another path.") from None
        return
    except (FormatError, OSError) as error:
        raise SaveError(
            f"{place.text!r} exists and is no data set that can be gone on with ({error}); give another path."
        ) from error
    if whole is None:
        label = _label(text)
        alone = label is not None and label.text("format") == FORMAT
        raise (DatasetError if alone else SaveError)(
            f"{place.text!r} {'was begun by one process' if alone else 'is no data set'}, and {wanted.world_size} "
            "ranks cannot go on with it; give another path."
        )
    if whole.world_size != wanted.world_size:
        raise DatasetError(
            f"{place.text!r} was begun by {whole.world_size} ranks, not {wanted.world_size}. Start as many again to go "
            "on with it, or give another path."
        )
    if whole.split != wanted.split:
        raise DatasetError(
            f"{place.text!r} was begun with a loader that {_LOADERS[whole.split]}, and this one "
            f"{_LOADERS[wanted.split]}. Give the same again to go on with it, or another path."
        )


_LOADERS = {BLOCKS: "can begin at any batch", TURNS: "begins at its front only"}


def _taken(place: StorePlace) -> bool:
    """Whether a folder without a label holds anything but what another rank writes now."""
    if not place.local or not Path(place.root).exists():
        return False
    return not Path(place.root).is_dir() or any(
        each.name != PARTS and not each.name.endswith(".part") for each in Path(place.root).iterdir()
    )


def _label(text: bytes) -> Fields | None:
    attributes = parsed(text, LABEL_NAME).inner("attributes")
    label = attributes.inner(LABEL_KEY) if attributes is not None and attributes.has(LABEL_KEY) else None
    return label if label is not None and label.has("format") else None
