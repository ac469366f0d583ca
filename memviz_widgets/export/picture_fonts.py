"""Fonts of a picture: the first one here that has every character of a text.

In: a text, a size. Out: a font of Pillow.
"""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

FACES = ("DejaVuSans.ttf", "Arial.ttf", "LiberationSans-Regular.ttf")
BOLD_FACES = ("DejaVuSans-Bold.ttf", "Arial Bold.ttf", "arialbd.ttf", "LiberationSans-Bold.ttf")
MORE_FACES = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "msyh.ttc", "seguiemj.ttf")
"""Looked for only for a text that the first ones cannot write."""

_PROBE_PX = 16
_NO_CHARACTER = "\U0010ffff"


def font_for(text: str, size_px: float, bold: bool = False) -> Font:
    """The first font that has all characters of ``text``; the first one at all where none has."""
    usual = BOLD_FACES if bold else FACES
    faces = [face for face in usual if _load(face, _PROBE_PX)] or [""]
    if text.isascii() or _writes(faces[0], text):
        chosen = faces[0]
    else:
        chosen = next((face for face in (*faces[1:], *FACES, *MORE_FACES) if _writes(face, text)), faces[0])
    found = _load(chosen, max(1, round(size_px)))
    assert found is not None  # it was there for the probe
    return found


def _writes(face: str, text: str) -> bool:
    return _load(face, _PROBE_PX) is not None and all(_has(face, character) for character in set(text))


@lru_cache(maxsize=4096)
def _has(face: str, character: str) -> bool:
    """Whether the font draws anything else for it than for a character that does not exist."""
    font = _load(face, _PROBE_PX)
    if font is None or character.isspace():
        return font is not None
    drawn, missing = font.getmask(character), font.getmask(_NO_CHARACTER)
    return drawn.size != missing.size or bytes(drawn) != bytes(missing)


@lru_cache(maxsize=256)
def _load(face: str, size_px: int) -> Font | None:
    """A font of this machine; "" is the one that comes with Pillow. None: it is not there."""
    try:
        found = ImageFont.truetype(face, size_px) if face else ImageFont.load_default(size_px)
    except OSError:
        return None
    return found if isinstance(found, Font) else None
