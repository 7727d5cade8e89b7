"""The page's HTML: the notice, the picture beside the sliders or the question, the help."""

from __future__ import annotations

from html import escape
from pathlib import Path

from emonet_face.taxonomy import FAMILIES, RATING_MAX, RATING_MIN, category
from generation.people.questions import NAME_RULE, Task

PAGE = Path(__file__).parent / "page"
TITLE = "EmoNet-Face: what does this face show?"

_KEYS = {
    Task.SLIDERS: (
        ("0 – 7", "set the slider you are on"),
        ("← →", "move it by one"),
        ("Tab, Shift Tab", "next slider, the one before"),
        ("Page Down, Page Up", "next group, the one before"),
        ("Enter", "keep and go on"),
        ("B", "back to the picture before, to correct it"),
        ("Esc", "return from there without changing it"),
        ("?", "open and close this help"),
    ),
    Task.VOTES: (
        ("Y", "yes"),
        ("N", "no"),
        ("B or ←", "back to the picture before, to correct it"),
        ("Esc or →", "return from there without changing it"),
        ("?", "open and close this help"),
    ),
}


_GENERATED = """Every face here was made by an image generator. Nobody in the pictures exists, and
    an answer says nothing about any real person."""
_UNKNOWN = """Whoever runs this page answers for where the pictures come from: not all of them are
    known to be made by an image generator. Faces of real people must not be labelled here without
    their consent; if you think that you see one, stop and ask. An answer says how a face looks to
    you, and nothing about what anybody feels."""


def notice(task: Task, generated: bool) -> str:
    """What a person reads and agrees to before they begin, as HTML.

    Args:
        task: sliders or votes.
        generated: whether every picture is known to be made by an image generator; only then it
            says that nobody in them exists.
    """
    pictures = _GENERATED if generated else _UNKNOWN
    return _part(task.value) + _part("notice").replace("PICTURES", pictures)


def page_html(task: Task, generated: bool) -> str:
    """The whole page; what stands in it changes by page.js alone. Arguments as of `notice`."""
    asked = _sliders() if task == Task.SLIDERS else _question()
    return f"""
<div class="people {task.value}" data-task="{task.value}">
  <section class="join">
    <h1>What does this face show?</h1>
    {notice(task, generated)}
    <form novalidate>
      <label for="name">A made-up name
        <small>for example wren-12; the same one each time you come back</small></label>
      <input id="name" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="32"
        aria-describedby="name-rule">
      <small id="name-rule">{NAME_RULE}</small>
      <label class="agree"><input type="checkbox" id="agree"> I have read this, I am an adult, and
        I agree</label>
      <button class="go" type="submit">Begin</button>
      <p class="problem" role="alert"></p>
    </form>
  </section>
  <section class="work" hidden>
    <header>
      <span class="who"></span>
      <progress max="1" value="0" aria-label="Pictures finished by all together"></progress>
      <span class="how-far"></span>
      <button type="button" class="plain help-button" aria-haspopup="dialog">Help
        <kbd>?</kbd></button>
    </header>
    <p class="problem" role="alert"></p>
    <p class="said" role="status"></p>
    <div class="stage">
      <figure>
        <img alt="">
        {_explained() if task == Task.SLIDERS else ""}
      </figure>
      {asked}
    </div>
  </section>
  <section class="done" hidden>
    <h1></h1>
    <p></p>
    <button type="button" class="plain back">Back to my last answer</button>
  </section>
  <dialog class="help" aria-labelledby="help-title">
    <h2 id="help-title">Keys</h2>
    {_keys(task)}
    <details><summary>What you do, and what is kept</summary>{notice(task, generated)}</details>
    <form method="dialog"><button class="go">Close</button></form>
  </dialog>
</div>"""


def _part(name: str) -> str:
    return (PAGE / f"{name}.html").read_text(encoding="utf-8")


def _explained() -> str:
    return f"""<figcaption aria-hidden="true">
          <strong>Point at a slider</strong> <span>to see the words it stands for</span>
          <small>{RATING_MIN} not at all · 1 a trace · {RATING_MAX} as strong as can be</small>
        </figcaption>"""


def _sliders() -> str:
    groups = []
    for number, (family, names) in enumerate(FAMILIES.items(), start=1):
        rows = "".join(map(_slider, names))
        title = escape(family.removesuffix(" Emotions"))
        inside = escape(", ".join(names))
        groups.append(f"""
        <details class="family family-{number}" open>
          <summary>{title}<span class="count"></span><small>{inside}</small></summary>
          <div role="group" aria-label="{title}">{rows}</div>
        </details>""")
    return f"""<form class="asked" aria-label="How strongly the face shows each state" novalidate>
      <div class="families">{"".join(groups)}</div>
      <div class="buttons">
        <button type="button" class="plain back">Back <kbd>B</kbd></button>
        <button type="button" class="plain return" hidden>Leave as it was <kbd>Esc</kbd></button>
        <button type="submit" class="go next">Next <kbd>Enter</kbd></button>
      </div>
    </form>"""


def _slider(name: str) -> str:
    entry = category(name)
    key = f"slider-{entry.index}"
    shown = escape(name).replace("/", "/<wbr>")
    return f"""
          <div class="slider">
            <label for="{key}">{shown}</label>
            <output for="{key}" aria-hidden="true">{RATING_MIN}</output>
            <input type="range" id="{key}" data-index="{entry.index}" min="{RATING_MIN}"
              max="{RATING_MAX}" step="1" value="{RATING_MIN}" autocomplete="off"
              aria-describedby="{key}-words">
            <small id="{key}-words">{escape(", ".join(entry.words))}</small>
          </div>"""


def _question() -> str:
    return """<form class="asked" aria-live="polite" novalidate>
      <p class="lead">Does this face show</p>
      <p class="emotion"></p>
      <p class="words"></p>
      <div class="choices">
        <button type="button" class="vote yes" data-vote="yes">Yes <kbd>Y</kbd></button>
        <button type="button" class="vote no" data-vote="no">No <kbd>N</kbd></button>
      </div>
      <div class="buttons">
        <button type="button" class="plain back">Back <kbd>B</kbd></button>
        <button type="button" class="plain return" hidden>Leave as it was <kbd>Esc</kbd></button>
      </div>
    </form>"""


def _keys(task: Task) -> str:
    rows = "".join(
        f'<tr><th scope="row"><kbd>{escape(keys)}</kbd></th><td>{escape(what)}</td></tr>'
        for keys, what in _KEYS[task]
    )
    return f'<table class="keys"><tbody>{rows}</tbody></table>'
