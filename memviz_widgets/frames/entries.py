"""What the browser is told of a recording: the shape of the catalog, generated into TypeScript.

In: nothing. Out: TypedDicts, JSON-safe, without NaN and Inf.
"""

from __future__ import annotations

from typing import TypedDict


class AxisEntry(TypedDict):
    """A slider axis: selection trait, name of the dim, size."""

    trait: str
    dim: str
    size: int


class PictureEntry(TypedDict):
    """Geometry of the frames of one kind.

    ``rows, cols``: cells sent. ``full_rows, full_cols``: elements of the tensor. ``pool_rows, pool_cols``: elements
    that one cell stands for, 1 = not pooled. ``row_dim, col_dim``: names for the axes, "" = none. ``row_trait,
    col_trait``: selection trait that rows and columns stand for, "" = none. A flat frame index is row-major over
    ``axes``, the last fastest; page p holds frames ``p * frames_per_page ..``, ``frames`` in all.
    """

    rows: int
    cols: int
    full_rows: int
    full_cols: int
    pool_rows: int
    pool_cols: int
    row_dim: str
    col_dim: str
    row_trait: str
    col_trait: str
    axes: list[AxisEntry]
    frames: int
    frames_per_page: int


class StatsEntry(TypedDict):
    """Statistics of a record; None where no value is finite. ``zeros``: share 0..1 of all elements."""

    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    zeros: float
    nan: int
    posinf: int
    neginf: int
    count: int


class TokensEntry(TypedDict):
    """Which texts stand along an axis: position ``i`` is ``tokens[sequence][sample][i + offset]``; -1 = no texts."""

    sequence: int
    offset: int


class AttentionEntry(TypedDict):
    """What can be shown of a record of attention weights, beside its frames.

    ``queries, keys, heads``: sizes. ``tiles``: the map of each head made small, ``axes`` sample and head. ``row``: each
    row in shares of its largest weight. ``log``: log10 of the weights. ``mean``, ``max``: over the heads, ``axes``
    sample. ``difference``: head minus other, ``axes`` sample, head, other; None with one head. ``rollout``: attention
    rollout from the first layer to this one, None where the layers do not follow on each other. ``flow``: attention
    flow through the same layers from one query, a single row, ``axes`` sample and query. The codes of all but
    "difference" have 253 for a weight that is exactly 0: masked, or never given.
    """

    queries: int
    keys: int
    heads: int
    tiles: PictureEntry
    row: PictureEntry
    log: PictureEntry
    mean: PictureEntry
    max: PictureEntry
    difference: PictureEntry | None
    rollout: PictureEntry | None
    flow: PictureEntry | None
    query_tokens: TokensEntry
    key_tokens: TokensEntry


class MemoryFrames(TypedDict):
    """What can be shown of a record that is part of a memory, beside its frames. None = there is no such picture.

    ``memory``: position in ``Catalog.memories``. ``units``: the dim whose positions are the rows of ``time``: channel,
    slot ... ``time``: units down, time across, ``axes`` the rest; pages "timescale" and "similarity" are the same
    picture with the rows in that order. ``wrote``: which step wrote (columns, written at) what the whole memory holds
    (rows, read at), in shares 0..1 of a row, ``axes`` sample; ``wrote_unit``: of one unit, ``axes`` sample and the
    unit. ``reads``: which step wrote what is read, ``axes`` sample and head. Code 253 in the three is exactly 0.
    ``pinned``: the range that the colours keep to, [0, 1] for weights and gates. ``tokens``: texts along time.
    ``saturation``: whether there is such a page. ``lags``: columns of a "retention" page, 0 = there is none.
    ``entries``: heads of an "entries" page, 0 = there is none.
    """

    memory: int
    units: str
    time: PictureEntry | None
    wrote: PictureEntry | None
    wrote_unit: PictureEntry | None
    reads: PictureEntry | None
    pinned: list[float] | None
    tokens: TokensEntry
    saturation: bool
    lags: int
    entries: int


class MemoryEntry(TypedDict):
    """One memory of the model: the layers that are its parts.

    ``form``: "vector", "slots", "matrix", "kv" or "association". ``layers``: positions in ``Catalog.layers`` in the
    order in which they are shown. ``content``: the layer of what it holds; ``attention``: the layer of the attention
    that reads it; -1 = there is none. ``phase``: "after_write", "before_write": which content a read saw, "" = not
    known. ``law``: what a step keeps and writes, as a formula; "" where nothing says so. ``note``: what the user must
    know.
    """

    label: str
    form: str
    layers: list[int]
    content: int
    attention: int
    phase: str
    law: str
    note: str


class RecordEntry(TypedDict):
    """One record. ``message``: what the user must know, "" = nothing. ``extents``: size per selection trait; of
    attention also ``time``, the number of queries.

    ``kept``: whether the values were held when the recording ended; ``on_demand``: not held, but to be had again.
    ``frame``, ``sheet``, ``series``: None where there is nothing to show. ``channels``: number of channels, 0 = none.
    """

    shape: list[int]
    dims: list[str]
    dtype: str
    nbytes: int
    kept: bool
    on_demand: bool
    message: str
    stats: StatsEntry | None
    extents: dict[str, int]
    frame: PictureEntry | None
    sheet: PictureEntry | None
    series: PictureEntry | None
    channels: int
    attention: AttentionEntry | None
    memory: MemoryFrames | None


class LayerEntry(TypedDict):
    """One place in the model. ``records``: index of its record by step, then by call.

    Every layer has all steps of the recording; one in which it did not run is ``[]``.
    """

    path: str
    module_type: str
    kind: str
    item: str
    label: str
    records: list[list[int]]


class Catalog(TypedDict):
    """Everything a notebook page knows before it asks. ``lo``, ``hi``: finite range over all records.

    ``tokens``: texts by sequence, sample, position. ``head_measures``: names of the rows of a "heads" page.
    ``head_kinds``: what the row "kind" counts, from 0; -1 there = none. ``entry_measures``: names of the rows of an
    "entries" page. ``step_labels``: what the steps are called; [] where they have numbers only.
    """

    layers: list[LayerEntry]
    records: list[RecordEntry]
    lo: float | None
    hi: float | None
    tokens: list[list[list[str]]]
    head_measures: list[str]
    head_kinds: list[str]
    memories: list[MemoryEntry]
    entry_measures: list[str]
    step_labels: list[str]


class HealthPlace(TypedDict):
    """Where a record is shown. ``layer``: position in ``Catalog.layers``, -1 = in none. ``step``, ``call``: of the
    selection. ``label``: the layer's name. ``when``: what the step is called, or "step 3"; "" for the first of steps
    that have numbers only.
    """

    layer: int
    step: int
    call: int
    label: str
    when: str


class HealthRow(TypedDict):
    """One finding of the health report.

    ``severity``: "error", "warning" or "hint". ``axis``: the selection trait that ``places`` are positions of: channel,
    head or slot; "" = it names none. ``at``: other traits of the selection that it names. ``measure``: what ``value``
    is, ``bound`` what it was held against, ``n`` how much was looked at, all in words. ``before``: what finished last
    before it, where the cause may be.
    """

    severity: str
    kind: str
    place: HealthPlace
    axis: str
    places: list[int]
    at: dict[str, int]
    sentence: str
    measure: str
    value: str
    bound: str
    n: str
    before: HealthPlace | None


class HealthCheck(TypedDict):
    """What the health report looks for: ``kind`` and ``severity`` of its findings, ``rule`` in words."""

    kind: str
    severity: str
    rule: str


class HealthUnread(TypedDict):
    """Records whose values a check wanted and could not read for one ``reason``: ``count``, the first ``places``."""

    reason: str
    count: int
    places: list[HealthPlace]


class QuizField(TypedDict):
    """One axis that a quiz asks for.

    ``trait``: of the selection. ``name``: what the axis is called. ``right``: positions that are right. ``options``:
    positions that are offered, in order; [] = any of 0 .. ``size`` - 1. ``texts``: names of positions, as of layers and
    tokens, by position as text; {} = they have none.
    """

    trait: str
    name: str
    right: list[int]
    options: list[int]
    size: int
    texts: dict[str, str]


class RecallRow(TypedDict):
    """One model of a recall lab, over one setting.

    ``d50``: value of the setting at which accuracy is half-way to chance, in words; ``d50_value``: the same as a
    number, None where it does not lie within the values. ``value``: the largest that was measured, to which the rest
    belongs: ``bits_kept`` of ``most_bits``, ``n`` answers of ``sequences``; None and 0 where nothing was measured.
    ``elements``, ``held_bytes``: of the state per sequence; ``state_note`` says what they count, or why they are None.
    """

    d50: str
    d50_value: float | None
    value: float | None
    bits_kept: float | None
    most_bits: float | None
    n: int
    sequences: int
    elements: int | None
    held_bytes: int | None
    state_note: str


class RecallDot(TypedDict):
    """One point of a recall curve: ``model``, its number among the names; ``value`` of the setting that is swept.

    ``accuracy`` 0..1 with its 95 % interval ``low``..``high``; ``chance``, and ``context_chance`` of any answer in the
    sequence; ``wrong`` of ``n`` answers of ``sequences``; ``bits_kept`` of ``most_bits`` per sequence. ``error``: why
    it could not be measured, "" = it was; then the numbers are 0.
    """

    model: int
    value: float
    accuracy: float
    low: float
    high: float
    chance: float
    context_chance: float
    wrong: int
    n: int
    sequences: int
    bits_kept: float
    most_bits: float
    error: str


class RecallCurve(TypedDict):
    """What was measured over one setting: ``text`` is its name with its unit; ``rows`` has one per model."""

    over: str
    text: str
    values: list[float]
    dots: list[RecallDot]
    rows: list[RecallRow]


class RecallFailureEntry(TypedDict):
    """A run whose answer was wrong: of ``model`` at ``value`` of ``over``, ``sequence`` among those that were drawn.

    ``symbols``: texts of the whole sequence; ``written`` and ``asked``: steps at which the answer was shown and asked;
    ``right`` and ``answered``: texts of the two answers. ``verdict``: one of the four, "none of the four", or "" where
    it cannot be told; ``sentences``: what says so, with the numbers, a memory or layer each.
    """

    model: int
    over: str
    value: float
    sequence: int
    symbols: list[str]
    written: int
    asked: int
    right: str
    answered: str
    verdict: str
    sentences: list[str]


class CardMethod(TypedDict):
    """How a measure of the memory card is computed. ``how``: formula and conventions; ``source``: where it is from."""

    how: str
    source: str


class CardRow(TypedDict):
    """One measure of one memory. ``measure``: key of its CardMethod; ``name``: what the row is called.

    ``value``: with its unit. ``number``: the main one of the numbers in it, None where it is not finite. ``compare``:
    chance line, baseline or bound. ``n``: of how many. ``detail``: further numbers, remarks. Texts are "" where there
    is nothing to say.
    """

    measure: str
    name: str
    value: str
    number: float | None
    compare: str
    n: str
    detail: str


class Card(TypedDict):
    """The measures that apply to one memory at one sample.

    ``title``: which. ``rows``: in the order in which they are shown. ``absent``: what does not apply, and why, a
    sentence each. ``problems``: what could not be measured, a sentence each. ``offers``: what takes so long that it
    waits to be asked for, with its price.
    """

    title: str
    rows: list[CardRow]
    absent: list[str]
    problems: list[str]
    offers: list[str]


class DistanceEntry(TypedDict):
    """How far the two sides of one aligned record are apart; None = does not apply. See analysis.distance.Distance.

    ``record``: its index. ``relative_l2``: |a - b| / |a|, None also when it is infinite. ``infinite``: it is.
    ``cosine``: 1 - cos, 0..2. ``cka``: 1 - linear CKA, 0..1, over ``rows`` examples. ``note``: why a number is missing.
    """

    record: int
    relative_l2: float | None
    infinite: bool
    cosine: float | None
    cka: float | None
    rows: int
    note: str


class UnalignedEntry(TypedDict):
    """Records that are not compared: the label of their place, how many they are, and why."""

    label: str
    count: int
    reason: str
