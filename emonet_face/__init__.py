"""EmoNet-Face: the shared core, the command and the demo.

Start with `emonet-face --help`; in Python, `emonet_face.taxonomy` has the 40 categories and
`emonet_face.ratings` reads every published spelling of them.
"""

from emonet_face.errors import EmoNetFaceError

__all__ = ["EmoNetFaceError", "__version__"]
__version__ = "0.1.0"
