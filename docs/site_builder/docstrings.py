"""Docstrings as the reference shows them: roles of Sphinx as code, and the help of a trait as its docstring.

In: what griffe read of the package. Out: the same, with docstrings changed.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from griffe import Attribute, Docstring, ExprCall, ExprKeyword, Extension, Object

_TABLE = re.compile(r"^(?P<indent> *)=+(?: +=+)+ *\n.*?\n(?P=indent)=+(?: +=+)+ *$", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`~?([^`]+)`")


class PlainDocstrings(Extension):
    """Griffe's hook."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of one object, after it was read."""
        if isinstance(obj, Attribute) and obj.docstring is None and (text := trait_help(obj.value)):
            obj.docstring = Docstring(text, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Without roles (``:func:`zero` `` is ``zero`` as code), and with tables of text as they stand."""
    return _TABLE.sub(_as_it_stands, _ROLE.sub(r"`\1`", text))


def _as_it_stands(table: re.Match[str]) -> str:
    indent = table["indent"]
    return f"{indent}```text\n{table[0]}\n{indent}```"


def trait_help(value: Any) -> str:
    """The ``help=`` of a trait's definition, "" when there is none."""
    call = value
    while isinstance(call, ExprCall):
        for argument in call.arguments:
            if isinstance(argument, ExprKeyword) and argument.name == "help":
                try:
                    return str(ast.literal_eval(str(argument.value)))
                except (SyntaxError, ValueError):
                    return ""
        # Int(0, help="...").tag(sync=True): the trait is what the tag is called on.
        call = getattr(call.function, "first", None)
    return ""
