"""The YAML front matter of a README: read it, write it, keep the text below it.

Dataset builds own the keys that the loaders read, cards own the text; both go through here, so
neither loses what the other wrote. PyYAML is imported inside.

>>> split_front_matter("---\\nlicense: cc-by-4.0\\n---\\n# Title\\n")
({'license': 'cc-by-4.0'}, '# Title\\n')
>>> join_front_matter({"tags": ["emonet-face"]}, "# Title\\n")
'---\\ntags:\\n- emonet-face\\n---\\n# Title\\n'
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import write_text

README = "README.md"
_FENCE = "---"


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """A README's text -> (front matter, body).

    Returns:
        The front matter as plain data and everything below it, unchanged; ({}, text) where the
        text has no front matter.

    Raises:
        EmoNetFaceError: the block is not closed, is not YAML or is not a mapping.
    """
    import yaml

    lines = text.splitlines(keepends=True)
    if not lines or lines[0].rstrip() != _FENCE:
        return {}, text
    fences = (index for index, line in enumerate(lines) if index and line.rstrip() == _FENCE)
    end = next(fences, None)
    if end is None:
        raise EmoNetFaceError(f"the front matter is not closed by a line {_FENCE!r}")
    try:
        data = _loaded("".join(lines[1:end]))
    except yaml.YAMLError as error:
        short = str(error).splitlines()[0]
        raise EmoNetFaceError(f"the front matter is not YAML ({short})") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise EmoNetFaceError(f"the front matter is a {type(data).__name__}, not a mapping")
    return data, "".join(lines[end + 1 :])


def _loaded(text: str) -> object:
    """`yaml.safe_load`, by libyaml where PyYAML has it: ten times as fast on a dataset's README."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def join_front_matter(data: Mapping[str, Any], body: str) -> str:
    """Front matter and body -> a README's text; keys keep their order."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Without anchors: what appears twice is written twice, as the Hub's parsers expect."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    block = yaml.dump(dict(data), Dumper=Plain, sort_keys=False, allow_unicode=True)
    return f"{_FENCE}\n{block}{_FENCE}\n{body}"


def read_front_matter(repo: Path) -> tuple[dict[str, Any], str]:
    """Front matter and body of `repo`/README.md; ({}, "") where there is no README.

    Raises:
        EmoNetFaceError: the README cannot be read, or its front matter is broken.
    """
    path = repo / README
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, ""
    except UnicodeDecodeError:
        raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return split_front_matter(text)
    except EmoNetFaceError as error:
        raise EmoNetFaceError(f"{path}: {error}") from None


def write_front_matter(repo: Path, data: Mapping[str, Any], body: str) -> None:
    """Write `repo`/README.md, whole or not at all."""
    write_text(repo / README, join_front_matter(data, body))
