"""How each of the 40 categories shows in a schematic face: units, weights and literature.

Prototypes are published as lists of units; the weights in 0..1 are ours throughout. Rows that name
OWN have no established prototype, or add signs to one: these are our choice, made so that a person
can tell a category from its neighbours, and nothing about real faces should be concluded from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OWN = "own"
LITERATURE: dict[str, str] = {
    "EMFACS": "Ekman & Friesen: prototypes of the basic emotions in FACS/EMFACS (1978, 1983)",
    "Cordaro 2018": "Cordaro et al. (2018), Emotion 18(1): core patterns over five cultures",
    "Du 2014": "Du, Tao & Martinez (2014), PNAS 111(15): compound facial expressions",
    "Gonzaga 2006": "Gonzaga et al. (2006), Emotion 6(2): displays of love and of sexual desire",
    "Keltner & Buswell 1997": "Keltner & Buswell (1997), Psychological Bulletin 122(3)",
    "Keltner 2019": "Keltner, Sauter, Tracy & Cowen (2019), J. Nonverbal Behavior 43: Table 2",
    "Prkachin & Solomon 2008": "Prkachin & Solomon (2008), Pain 139(2): AU4, 6/7, 9/10 and 43",
    "Reeve 1993": "Reeve (1993), Motivation and Emotion 17(4): the face of interest",
    "Rosenstein & Oster 1988": "Rosenstein & Oster (1988), Child Development 59(6): four tastes",
    "Rozin & Cohen 2003": "Rozin & Cohen (2003), Emotion 3(1): confusion, concentration, worry",
    "Sundelin 2013": "Sundelin et al. (2013), Sleep 36(9): cues of fatigue in the face",
    "Tracy & Robins 2004": "Tracy & Robins (2004), Psychological Science 15(3): pride",
    OWN: "no established prototype: our own choice",
}
"""Short name -> work. A row with a work and OWN starts from it and adds signs of our choice."""


class Display(NamedTuple):
    """How one category shows at full intensity.

    Attributes:
        units: unit -> weight in 0..1.
        sources: keys of LITERATURE.
    """

    units: Mapping[str, float]
    sources: tuple[str, ...]


def _display(*sources: str, **units: float) -> Display:
    return Display({name.replace("_", " "): weight for name, weight in units.items()}, sources)


DISPLAYS: dict[str, Display] = {
    "Amusement": _display(
        "Keltner 2019", AU6=1.0, AU7=0.5, AU12=1.0, AU25=1.0, AU26=0.8, AU53=0.7
    ),
    "Elation": _display(
        *("Du 2014", OWN), AU1=0.6, AU2=0.7, AU5=0.35, AU6=0.35, AU12=1.0, AU25=1.0, AU26=0.3,
        blush=0.3,
    ),
    "Pleasure/Ecstasy": _display(
        OWN, AU1=0.6, AU6=0.3, AU12=0.45, AU25=0.9, AU26=0.5, AU43=1.0, AU53=0.9, blush=0.7
    ),
    "Contentment": _display("Cordaro 2018", "Keltner 2019", AU12=0.7, AU43=1.0),
    "Thankfulness/Gratitude": _display(
        OWN, AU1=0.8, AU6=0.6, AU12=0.75, AU54=0.7, AU63=0.3, moist_eyes=0.8
    ),
    "Affection": _display(
        *("Gonzaga 2006", OWN), AU1=0.3, AU6=0.8, AU12=0.75, AU55=1.0, AU57=0.6, blush=0.2
    ),
    "Infatuation": _display(
        OWN, AU1=0.5, AU2=0.4, AU12=0.65, AU25=0.3, AU56=0.6, AU54=0.2, blush=1.0,
        moist_eyes=0.7, pupil_dilation=1.0,
    ),
    "Hope/Enthusiasm/Optimism": _display(
        OWN, AU1=0.6, AU2=0.6, AU6=0.25, AU12=0.8, AU53=0.45, AU63=0.9
    ),
    "Triumph": _display(
        OWN, AU4=0.7, AU6=0.4, AU10=0.6, AU12=0.6, AU16=0.5, AU25=1.0, AU27=0.75, AU53=0.6
    ),
    "Pride": _display(
        *("Tracy & Robins 2004", "Cordaro 2018", "Keltner 2019", OWN),
        AU7=0.3, AU12=0.5, AU24=0.3, AU53=1.0, AU64=0.6,
    ),
    "Interest": _display(
        *("Keltner 2019", "Reeve 1993", OWN),
        AU1=0.6, AU2=0.8, AU5=0.5, AU12=0.35, AU25=0.3, AU57=1.0,
    ),
    "Awe": _display(
        *("Cordaro 2018", "Du 2014", OWN),
        AU1=1.0, AU2=0.7, AU5=0.8, AU12=0.15, AU25=1.0, AU26=0.55, AU53=0.4, AU63=0.9,
    ),
    "Astonishment/Surprise": _display(
        *("EMFACS", "Keltner 2019", OWN),
        AU1=1.0, AU2=1.0, AU5=1.0, AU25=1.0, AU26=0.6, AU27=0.7, AU58=0.5,
    ),
    "Concentration": _display(
        *("Rozin & Cohen 2003", OWN), AU4=0.5, AU7=0.3, AU18=0.5, AU23=0.4, AU54=0.5, AU64=0.9
    ),
    "Contemplation": _display(
        OWN, AU2L=0.3, AU4=0.3, AU14R=0.4, AU17=0.3, AU24=0.3, AU51=0.4, AU55=0.4, AU61=0.8,
        AU63=0.7,
    ),
    "Relief": _display(
        OWN, AU1=0.7, AU2=0.5, AU12=0.35, AU22=0.6, AU25=0.8, AU26=0.3, AU43=0.95, sweat=0.9
    ),
    "Longing": _display(
        OWN, AU1=0.9, AU4=0.2, AU15=0.2, AU25=0.35, AU56=0.8, AU62=0.9, AU63=0.35, moist_eyes=0.8
    ),
    "Teasing": _display(
        OWN, AU2R=0.6, AU6=0.4, AU12=0.8, AU25=0.6, AU46L=1.0, AU55=0.4, AD19=1.0
    ),
    "Impatience and Irritability": _display(
        OWN, AU4=0.7, AU7=0.2, AU23=0.6, AU52=0.3, AU63=0.9, AD34=1.0, blush=0.3
    ),
    "Sexual Lust": _display(
        *("Gonzaga 2006", "Keltner 2019", OWN),
        AU2R=0.3, AU12L=0.4, AU25=0.6, AU26=0.3, AU43=0.5, AU54=0.35, AU63=0.3, AD37=1.0,
        blush=0.7, pupil_dilation=0.9,
    ),
    "Doubt": _display(
        OWN, AU2L=1.0, AU4R=0.8, AU7=0.4, AU14L=0.6, AU15R=0.5, AU17=0.5, AU24=0.3, AU52=0.35
    ),
    "Fear": _display(
        *("EMFACS", "Du 2014", "Keltner 2019", OWN),
        AU1=1.0, AU2=0.6, AU4=0.6, AU5=1.0, AU20=1.0, AU25=1.0, AU26=0.5, AU58=0.6, pallor=0.6,
    ),
    "Distress": _display(
        *("Rozin & Cohen 2003", OWN),
        AU1=0.9, AU4=0.7, AU7=0.2, AU20=0.7, AU25=0.5, AU31=1.0, sweat=1.0,
    ),
    "Confusion": _display(
        *("Keltner 2019", OWN), AU2L=0.5, AU4=0.8, AU7=0.4, AU10L=0.5, AU14R=0.3, AU25=0.2, AU56=1.0
    ),
    "Embarrassment": _display(
        *("Keltner & Buswell 1997", "Keltner 2019", OWN),
        AU1=0.4, AU7=0.3, AU12=0.6, AU15=0.25, AU24=0.5, AU52=0.8, AU54=0.5, AU64=0.8, blush=1.0,
    ),
    "Shame": _display(
        *("Cordaro 2018", "Keltner 2019", OWN),
        AU1=0.5, AU4=0.4, AU15=0.3, AU17=0.5, AU43=0.35, AU54=1.0, AU64=1.0, blush=0.4,
    ),
    "Disappointment": _display(
        *("Cordaro 2018", OWN),
        AU1=0.4, AU4=0.25, AU14=0.4, AU15=0.7, AU43=0.35, AU56=0.5, AU61=0.7, AU64=0.6,
    ),
    "Sadness": _display(
        *("EMFACS", "Keltner 2019", OWN), AU1=1.0, AU4=0.6, AU6=0.2, AU15=1.0, AU17=0.7, tears=1.0
    ),
    "Bitterness": _display(
        *("Du 2014", OWN), AU4=0.7, AU7=0.9, AU10R=0.8, AU15=0.6, AU17=0.8, AU24=0.8, AU54=0.25
    ),
    "Contempt": _display(
        *("EMFACS", OWN), AU2L=0.3, AU10R=0.3, AU12R=0.5, AU14R=1.0, AU43=0.35, AU53=0.6, AU64=0.4
    ),
    "Disgust": _display(
        *("EMFACS", "Du 2014", "Keltner 2019"),
        AU4=0.5, AU7=0.6, AU9=1.0, AU10=1.0, AU15=0.3, AU25=0.7, AU26=0.3, AD19=0.6,
    ),
    "Anger": _display(
        *("EMFACS", "Keltner 2019", OWN),
        AU4=1.0, AU5=0.7, AU7=0.4, AU17=0.4, AU23=0.9, AU24=0.5, AU38=0.9, blush=0.6,
    ),
    "Malevolence/Malice": _display(
        OWN, AU2=0.6, AU4=1.0, AU7=0.4, AU10=0.2, AU12=0.8, AU12L=0.4, AU25=0.5, AU54=0.9, AU63=0.9
    ),
    "Sourness": _display(
        *("Rosenstein & Oster 1988", OWN),
        AU4=0.7, AU6=0.5, AU7=0.7, AU9=0.4, AU18=1.0, AU43=0.95, AD35=1.0,
    ),
    "Pain": _display(
        *("Prkachin & Solomon 2008", OWN),
        AU4=1.0, AU6=0.8, AU7=0.8, AU9=0.7, AU10=0.7, AU20=0.5, AU25=1.0, AU26=0.4, AU43=1.0,
        AU55=0.4,
    ),
    "Helplessness": _display(
        OWN, AU1=1.0, AU2=0.4, AU15=0.6, AU20=0.3, AU25=0.4, AU55=0.3, AU63=0.4, AU82=1.0,
        moist_eyes=0.5,
    ),
    "Fatigue/Exhaustion": _display(
        *("Sundelin 2013", OWN),
        AU1=0.3, AU15=0.3, AU25=0.6, AU26=0.4, AU43=0.6, AU54=0.2, AU55=0.7, eye_circles=1.0,
        pallor=0.4,
    ),
    "Emotional Numbness": _display(OWN, AU15=0.15, AU24=0.4, AU43=0.4, pallor=1.0),
    "Intoxication/Altered States of Consciousness": _display(
        OWN, AU2=0.5, AU12R=0.6, AU12L=0.2, AU25=0.7, AU26=0.3, AU43L=0.6, AU43R=0.3, AU56=0.8,
        AU65=1.0, blush=0.9, nose_flush=1.0,
    ),
    "Jealousy & Envy": _display(
        OWN, AU4=0.8, AU7=0.7, AU10L=0.3, AU14L=0.5, AU15=0.4, AU17=0.4, AU52=0.7, AU61=1.0
    ),
}  # fmt: skip
"""The 40 categories in canonical order."""
