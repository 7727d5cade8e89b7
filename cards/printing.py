"""Templates -> text: every placeholder known and used, every number printed from its source.

Text is rendered with marks around each number, which say where it comes from and how it is shown;
`unmarked` takes them out again. So a test can walk from any digit of a card to its file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cards.sourced import Number
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
_OPEN, _MIDDLE, _CLOSE = "\ue000", "\ue001", "\ue002"
"""Of the private use area of Unicode: in no card."""
_MARK = re.compile(f"{_OPEN}([^{_MIDDLE}]*)\\|(\\w+){_MIDDLE}([^{_CLOSE}]*){_CLOSE}")
UNDEFINED = "-"
_JOINED = ",\N{NO-BREAK SPACE}"
"""Between the ends of an interval, which narrow columns would break."""

SHAPES: dict[str, Callable[[float], str]] = {
    "number": lambda value: f"{value:z.3f}",
    "short": lambda value: f"{value:z.2f}",
    "count": lambda value: f"{value:,.0f}",
    "plain": lambda value: f"{value:g}",
    "percent": lambda value: f"{100 * value:z.1f}\N{NO-BREAK SPACE}%",
    "share": lambda value: f"{100 * value:g}\N{NO-BREAK SPACE}%",
    "size": lambda value: f"{value / 1e6:,.1f} MB" if value >= 1e5 else f"{value / 1e3:,.1f} kB",
}
"""Filter of the templates -> how it shows a number; what rounds to zero has no sign."""


class Trace(NamedTuple):
    """A number on a card.

    Attributes:
        source: see `Number`.
        shape: one of SHAPES.
        text: as printed.
    """

    source: str
    shape: str
    text: str


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """Render a template, with marks around the numbers.

    Args:
        template: file name in `templates/`.
        context: what its placeholders stand for.

    Raises:
        EmoNetFaceError: a placeholder without a value, a value without a placeholder, or a number
            that is printed without a source.
    """
    from jinja2 import TemplateError

    environment = _environment()
    wanted = _placeholders(template)
    for problem, names in (
        ("has placeholders that nothing fills", wanted - set(context)),
        ("does not use", set(context) - wanted),
    ):
        if names:
            raise EmoNetFaceError(f"{template}: {problem}: {', '.join(sorted(names))}")
    try:
        text = environment.get_template(template).render(**context)
    except TemplateError as error:
        raise EmoNetFaceError(f"{template}: {error}") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def unmarked(text: str) -> str:
    """The text as people read it."""
    return _MARK.sub(r"\3", text)


def traces(text: str) -> Iterator[Trace]:
    """The numbers of a marked text."""
    for source, shape, shown in _MARK.findall(text):
        yield Trace(source, shape, shown)


def without_numbers(text: str) -> str:
    """A marked text with every traced number taken out: what is left, a template says by itself."""
    return _MARK.sub("", text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=_checked,
    )
    environment.filters |= {name: _filter(name) for name in SHAPES}
    environment.filters["interval"] = _interval
    return environment


@cache
def _placeholders(template: str) -> frozenset[str]:
    """The names that a template and those it includes ask for."""
    from jinja2 import TemplateNotFound, meta

    environment = _environment()
    try:
        source = environment.loader.get_source(environment, template)[0]
    except TemplateNotFound:
        raise EmoNetFaceError(f"{template}: there is no such template") from None
    tree = environment.parse(source)
    found = set(meta.find_undeclared_variables(tree))
    for name in meta.find_referenced_templates(tree):
        if name is not None:
            found |= _placeholders(name)
    return frozenset(found)


def _filter(shape: str) -> Callable[[Number | None], str]:
    def show(number: Number | None) -> str:
        if number is None:
            return UNDEFINED
        if not isinstance(number, Number):
            raise EmoNetFaceError(f"a template prints {number!r}, which has no source")
        return f"{_OPEN}{number.source}|{shape}{_MIDDLE}{SHAPES[shape](number.value)}{_CLOSE}"

    return show


def _interval(pair: list[Number | None] | None, shape: str = "number") -> str:
    if pair is None or None in pair:
        return UNDEFINED
    return f"[{_JOINED.join(map(_filter(shape), pair))}]"


def _checked(value: object) -> object:
    if isinstance(value, Number | int | float) and not isinstance(value, bool):
        raise EmoNetFaceError(f"a template prints {value!r} without a filter that says how")
    if value is None:
        raise EmoNetFaceError("a template prints a value that is not there")
    return value
