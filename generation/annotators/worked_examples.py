"""Five described faces with a whole answer each: the examples of the multi-shot prompt.

The kinds of face follow the released multi-shot prompt (laughing, concentrating, sad, surprised,
neutral); the descriptions, ratings and reasons are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

from emonet_face.taxonomy import DIMENSIONS, EMOTIONS

NOT_SEEN = "nothing in the face points to it"


@dataclass(frozen=True)
class WorkedExample:
    """A face in words and how it is rated.

    Attributes:
        face: what can be seen.
        marked: category -> (rating, reason), at most five.
        dimensions: (value, reason) for each of `taxonomy.DIMENSIONS`, in order.
    """

    face: str
    marked: dict[str, tuple[int, str]]
    dimensions: tuple[tuple[int, str], ...]

    def answer(self) -> dict[str, dict[str, dict[str, object]]]:
        """The answer in full: 40 categories and 4 dimensions."""
        return {
            "emotions": {name: _entry(*self.marked.get(name, (0, NOT_SEEN))) for name in EMOTIONS},
            "extra_dimensions": {
                dimension.name: _entry(*given)
                for dimension, given in zip(DIMENSIONS, self.dimensions, strict=True)
            },
        }


def _entry(rating: int, reason: str) -> dict[str, object]:
    return {"rating": rating, "reasoning": reason}


EXAMPLES: tuple[WorkedExample, ...] = (
    WorkedExample(
        "The head is thrown back, the mouth wide open in a laugh, the cheeks pushed up, the eyes"
        " almost closed with deep folds at their outer corners.",
        {
            "Amusement": (7, "open laugh, raised cheeks and folded eye corners together"),
            "Elation": (6, "the whole face is lifted and bright"),
            "Pleasure/Ecstasy": (3, "closed eyes and a head thrown back let go of all control"),
            "Contentment": (2, "no tension between the brows"),
        },
        (
            (6, "a strong, sudden outburst"),
            (3, "laughing without reserve"),
            (1, "takes up room and does not hold back"),
            (4, "nothing is hidden while laughing"),
        ),
    ),
    WorkedExample(
        "The brows are drawn together and down a little, the eyes are narrowed at one point, the"
        " lips are pressed lightly, the head is still.",
        {
            "Concentration": (6, "narrowed eyes fixed on one point under knitted brows"),
            "Contemplation": (3, "still head and pressed lips, as when weighing something"),
            "Interest": (3, "the gaze is held by what it looks at"),
            "Doubt": (1, "the knitted brows might question what is seen"),
        },
        (
            (4, "awake and engaged"),
            (0, "neither pleasant nor unpleasant"),
            (1, "steady gaze"),
            (1, "turned to the task and not to other people"),
        ),
    ),
    WorkedExample(
        "The inner ends of the brows are pulled up, the eyes are wet and look down, the corners of"
        " the mouth hang, the chin is slightly creased.",
        {
            "Sadness": (6, "raised inner brows, wet eyes and hanging mouth corners"),
            "Disappointment": (3, "the look falls and the mouth gives way"),
            "Helplessness": (3, "the face has lost its tension"),
            "Distress": (2, "the creased chin holds back crying"),
            "Longing": (1, "the lowered gaze may follow something lost"),
        },
        (
            (2, "slow and without force"),
            (-2, "clearly unpleasant"),
            (-2, "gives in"),
            (5, "close to tears and not hiding it"),
        ),
    ),
    WorkedExample(
        "The brows are high and curved, the eyes wide open with white above the iris, the jaw has"
        " dropped.",
        {
            "Astonishment/Surprise": (7, "raised brows, wide eyes and dropped jaw together"),
            "Awe": (3, "the mouth stays open while looking"),
            "Interest": (2, "the eyes take in as much as they can"),
            "Fear": (1, "the white above the iris leaves alarm possible"),
        },
        (
            (6, "a sudden, strong start"),
            (0, "may turn either way"),
            (-1, "overtaken by what happens"),
            (3, "caught off guard"),
        ),
    ),
    WorkedExample(
        "The brows, eyes and mouth are at rest, the gaze meets the camera, no muscle is pulled.",
        {
            "Contentment": (1, "relaxed eyes and lips"),
            "Emotional Numbness": (1, "no feeling can be made out"),
        },
        (
            (3, "awake, no more"),
            (0, "no sign either way"),
            (0, "no sign either way"),
            (2, "gives little away"),
        ),
    ),
)
