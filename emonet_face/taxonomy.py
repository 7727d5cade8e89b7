"""The EmoNet-Face taxonomy: 40 emotion categories, 7 families, 4 extra dimensions.

Everything else takes category names and their order from here. Standard library only.
Source: the released `guide.json` (keys of `labels` give the canonical order, `buttons` the families
and the order inside them) and, for the dimensions, the released multi-shot prompt.

>>> len(EMOTIONS), EMOTIONS[0], EMOTIONS[39]
(40, 'Amusement', 'Jealousy & Envy')
>>> category("Helplessness").family
'Negative Low-Energy Emotions'
>>> INDEX["Anger"]
31
"""

from __future__ import annotations

from dataclasses import dataclass

N_EMOTIONS = 40
RATING_MIN, RATING_MAX = 0, 7
"""Bounds of a rating: 0 absent, 1 weak, 7 very strong (slider of the annotation platform)."""

_RELEASED_WORDS: tuple[tuple[str, str], ...] = (
    (
        "Amusement",
        "lighthearted fun, amusement, mirth, joviality, laughter, playfulness, silliness, jesting,"
        " delight",
    ),
    (
        "Elation",
        "happiness, excitement, joy, exhilaration, laughter, jubilation, cheerfulness",
    ),
    ("Pleasure/Ecstasy", "ecstasy, pleasure, bliss, beatitude"),
    (
        "Contentment",
        "contentment, relaxation, peacefulness, calmness, satisfaction, ease, serenity, bliss,"
        " fulfillment, gladness, lightness, serenity, tranquility",
    ),
    ("Thankfulness/Gratitude", "thankfulness, gratitude, appreciation, gratefulness"),
    (
        "Affection",
        "sympathy, compassion, warmth, trust, caring, forgiveness, devotion, tenderness, reverence",
    ),
    (
        "Infatuation",
        "infatuation, having a crush, romantic desire, fondness, butterflies in the stomach,"
        " adoration",
    ),
    (
        "Hope/Enthusiasm/Optimism",
        "hope, enthusiasm, optimism, anticipation, courage, encouragement, zeal, fervor,"
        " inspiration, determination",
    ),
    ("Triumph", "triumph, superiority, hubris"),
    ("Pride", "pride, dignity, self-confidently, honor, self-consciousness"),
    ("Interest", "interest, fascination, curiosity, need for cognition"),
    ("Awe", "awe, awestruck, wonder"),
    ("Astonishment/Surprise", "astonishment, surprise, amazement, shock, startlement"),
    ("Concentration", "concentration, deep focus, engrossment, absorption, attention"),
    (
        "Contemplation",
        "contemplation, thoughtfulness, pondering, reflection, meditation, brooding, pensiveness",
    ),
    ("Relief", "relief, respite, alleviation, solace, comfort, liberation"),
    (
        "Longing",
        "yearning, longing, pining, wistfulness, nostalgia, craving, desire, benign envy,"
        " homesickness",
    ),
    ("Teasing", "teasing, bantering, mocking playfully, ribbing, provoking lightly"),
    (
        "Impatience and Irritability",
        "impatience, irritability, irritation, restlessness, short-temperedness, exasperation",
    ),
    (
        "Sexual Lust",
        "sexual lust, carnal desire, lust, feeling horny, feeling turned on",
    ),
    ("Doubt", "doubt, distrust, suspicion, skepticism, uncertainty, pessimism"),
    ("Fear", "fear, terror, dread, apprehension, alarm, horror, panic, nervousness"),
    (
        "Distress",
        "worry, anxiety, unease, anguish, trepidation, concern, upset, pessimism, foreboding",
    ),
    ("Confusion", "confusion, bewilderment, disorientation, perplexity"),
    (
        "Embarrassment",
        "embarrassment, shyness, mortification, discomfiture, awkwardness, self-consciousness",
    ),
    ("Shame", "shame, guilt, remorse, humiliation, contrition"),
    ("Disappointment", "disappointment, regret, dismay, letdown, chagrin"),
    (
        "Sadness",
        "sadness, sorrow, grief, melancholy, dejection, despair, self-pity, sullenness, heartache,"
        " mournfulness, misery",
    ),
    ("Bitterness", "resentment, acrimony, bitterness, cynicism, rancor, malicious envy"),
    ("Contempt", "contempt, disapproval, scorn, disdain, loathing, detestation"),
    ("Disgust", "disgust, revulsion, repulsion, abhorrence, loathing"),
    ("Anger", "anger, rage, fury, hate, irascibility, enragement, wrath, annoyance"),
    (
        "Malevolence/Malice",
        "spite, sadism, malevolence, malice, malicious envy, revenge, desire to harm,"
        " schadenfreude",
    ),
    ("Sourness", "sourness, tartness, acidity, acerbity, sharpness"),
    ("Pain", "physical pain, suffering, torment, ache, agony"),
    ("Helplessness", "helplessness, hopelessness, powerlessness, desperation, submission"),
    (
        "Fatigue/Exhaustion",
        "fatigue, exhaustion, weariness, lethargy, burnout, Weariness",
    ),
    (
        "Emotional Numbness",
        "numbness, detachment, insensitivity, emotional blunting, apathy, existential void,"
        " boredom, stoicism, indifference",
    ),
    (
        "Intoxication/Altered States of Consciousness",
        "being drunk, stupor, intoxication, disorientation, altered perception",
    ),
    ("Jealousy & Envy", "jealousy, envy, covetousness"),
)

FAMILIES: dict[str, tuple[str, ...]] = {
    "Positive High-Energy Emotions": (
        "Amusement",
        "Elation",
        "Pleasure/Ecstasy",
        "Hope/Enthusiasm/Optimism",
        "Triumph",
        "Interest",
        "Awe",
        "Astonishment/Surprise",
        "Teasing",
    ),
    "Positive Low-Energy Emotions": (
        "Contentment",
        "Thankfulness/Gratitude",
        "Affection",
        "Relief",
        "Contemplation",
        "Pride",
    ),
    "Negative High-Energy Emotions": (
        "Fear",
        "Anger",
        "Malevolence/Malice",
        "Disgust",
        "Impatience and Irritability",
        "Distress",
    ),
    "Negative Low-Energy Emotions": (
        "Sadness",
        "Bitterness",
        "Contempt",
        "Disappointment",
        "Shame",
        "Emotional Numbness",
        "Doubt",
        "Jealousy & Envy",
        "Embarrassment",
        "Helplessness",
    ),
    "Cognitive States and Processes": ("Concentration", "Confusion"),
    "Physical and Exhaustive States": (
        "Pain",
        "Fatigue/Exhaustion",
        "Intoxication/Altered States of Consciousness",
        "Sourness",
    ),
    "Longing & Lust": ("Longing", "Sexual Lust", "Infatuation"),
}
"""The 7 families with their categories, both in the order of the annotation platform."""

_STATE_KIND = {
    "Physical and Exhaustive States": "physical state",
    "Cognitive States and Processes": "cognitive state",
}

ALIASES: dict[str, str] = {"Hopelessness": "Helplessness"}
"""Spellings found in published files -> category (the votes file says Hopelessness)."""

OPPOSITES: tuple[tuple[str, str], ...] = (
    ("Elation", "Sadness"),
    ("Contentment", "Anger"),
    ("Amusement", "Distress"),
    ("Hope/Enthusiasm/Optimism", "Helplessness"),
    ("Contempt", "Awe"),
    ("Disappointment", "Triumph"),
    ("Thankfulness/Gratitude", "Jealousy & Envy"),
    ("Affection", "Bitterness"),
    ("Confusion", "Contemplation"),
    ("Pleasure/Ecstasy", "Fear"),
    ("Pride", "Doubt"),
    ("Concentration", "Intoxication/Altered States of Consciousness"),
    ("Sourness", "Malevolence/Malice"),
    ("Astonishment/Surprise", "Impatience and Irritability"),
    ("Shame", "Sexual Lust"),
    ("Embarrassment", "Teasing"),
    ("Relief", "Pain"),
    ("Infatuation", "Disgust"),
    ("Interest", "Emotional Numbness"),
    ("Longing", "Fatigue/Exhaustion"),
)
"""The 20 fixed pairs of the Binary set: an image prompted for one side is also asked about the
other (found in the published `binary.csv`)."""


@dataclass(frozen=True)
class Category:
    """One of the 40 categories.

    Attributes:
        index: position in canonical order, 0..39.
        name: the exact published key, e.g. "Pleasure/Ecstasy".
        family: one of the 7 families, e.g. "Positive High-Energy Emotions".
        words: the released words, in order, without repetitions.
        slug: the name inside published head files, e.g. "pleasure_ecstasy".
        kind: "emotion", "physical state" or "cognitive state" (told from the family; EU AI Act
            recital 18 does not count physical states such as pain or fatigue as emotions).
    """

    index: int
    name: str
    family: str
    words: tuple[str, ...]
    slug: str
    kind: str

    @property
    def key(self) -> str:
        """The key of published rating dictionaries: "<family>|<category>"."""
        return f"{self.family}|{self.name}"


@dataclass(frozen=True)
class Dimension:
    """One of the 4 extra dimensions; people never rated them, only models give them.

    Attributes:
        name: e.g. "Emotional Vulnerability".
        slug: e.g. "emotional_vulnerability".
        low, high: bounds of the scale.
        anchors: what each whole step from low to high means.
    """

    name: str
    slug: str
    low: int
    high: int
    anchors: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of published rating dictionaries: "Extra Dimensions|<name>"."""
        return f"{EXTRA_FAMILY}|{self.name}"


EXTRA_FAMILY = "Extra Dimensions"


def slug_of(name: str) -> str:
    """The spelling of a category in published head files.

    >>> slug_of("Jealousy & Envy"), slug_of("Fatigue/Exhaustion")
    ('jealousy_&_envy', 'fatigue_exhaustion')
    """
    return name.lower().replace("/", "_").replace(" ", "_")


def _unique(words: str) -> tuple[str, ...]:
    """Words in order, without repetitions that differ at most by case."""
    seen: dict[str, str] = {}
    for word in words.split(", "):
        seen.setdefault(word.casefold(), word)
    return tuple(seen.values())


_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}

CATEGORIES: tuple[Category, ...] = tuple(
    Category(
        index=index,
        name=name,
        family=_FAMILY_OF[name],
        words=_unique(words),
        slug=slug_of(name),
        kind=_STATE_KIND.get(_FAMILY_OF[name], "emotion"),
    )
    for index, (name, words) in enumerate(_RELEASED_WORDS)
)
"""The 40 categories in canonical order."""

EMOTIONS: tuple[str, ...] = tuple(c.name for c in CATEGORIES)
"""The 40 category names in canonical order: the order of every vector in this project."""

INDEX: dict[str, int] = {name: index for index, name in enumerate(EMOTIONS)}
"""Category name -> position in canonical order."""

_STEPS = ("extremely", "strongly", "mildly")

DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        "Arousal",
        "arousal",
        0,
        7,
        (
            "asleep or inert",
            "very calm",
            "calm",
            "neutral baseline",
            "engaged",
            "activated",
            "highly aroused",
            "extreme or overwhelmed",
        ),
    ),
    Dimension(
        "Valence",
        "valence",
        -3,
        3,
        (
            *(f"{step} negative" for step in _STEPS),
            "neutral",
            *(f"{step} positive" for step in reversed(_STEPS)),
        ),
    ),
    Dimension(
        "Dominance",
        "dominance",
        -3,
        3,
        (
            *(f"{step} submissive" for step in _STEPS),
            "neutral",
            *(f"{step} dominant" for step in reversed(_STEPS)),
        ),
    ),
    Dimension(
        "Emotional Vulnerability",
        "emotional_vulnerability",
        0,
        5,
        (
            "extremely guarded",
            "strongly guarded",
            "moderately guarded",
            "slightly open",
            "clearly open",
            "extremely open",
        ),
    ),
)
"""The 4 extra dimensions, in the order of the columns `dimensions` and of model outputs 41..44."""


def _shared_words() -> dict[str, tuple[str, ...]]:
    owners: dict[str, list[str]] = {}
    for entry in CATEGORIES:
        for word in entry.words:
            owners.setdefault(word.casefold(), []).append(entry.name)
    return {word: tuple(names) for word, names in owners.items() if len(names) > 1}


SHARED_WORDS: dict[str, tuple[str, ...]] = _shared_words()
"""Words that stand under more than one category: they cannot tell a category by themselves."""

OPPOSITE: dict[str, str] = {a: b for x, y in OPPOSITES for a, b in ((x, y), (y, x))}
"""Category -> the contrast category it is paired with in the Binary set."""


def category(name: str) -> Category:
    """The category of an exact name. Raises KeyError for anything else (see `ratings.resolve`)."""
    return CATEGORIES[INDEX[name]]


def as_json() -> dict[str, object]:
    """The whole taxonomy as plain data: what `emonet-face taxonomy --json` prints."""
    return {
        "scale": [RATING_MIN, RATING_MAX],
        "categories": [
            {
                "index": c.index,
                "name": c.name,
                "family": c.family,
                "kind": c.kind,
                "slug": c.slug,
                "words": list(c.words),
                "opposite": OPPOSITE[c.name],
            }
            for c in CATEGORIES
        ],
        "families": {family: list(names) for family, names in FAMILIES.items()},
        "shared_words": {word: list(names) for word, names in SHARED_WORDS.items()},
        "aliases": dict(ALIASES),
        "dimensions": [
            {
                "name": d.name,
                "slug": d.slug,
                "range": [d.low, d.high],
                "anchors": list(d.anchors),
            }
            for d in DIMENSIONS
        ],
    }
