"""Why a photo cannot be read, for programs: a short code beside the sentence for people.

Codes are stable: `serve` sends them, and its page has words for each in every language. Sentences may change.
"""

from __future__ import annotations

from typing import Literal, get_args

from sortograph.errors import PhotoError

Code = Literal["empty", "not-an-image", "unsupported", "damaged", "truncated", "too-large", "slow", "crashed"]
CODES: tuple[Code, ...] = get_args(Code)


class Refused(PhotoError):
    """A photo that cannot be read: `what` is the reason in words, `code` its kind.

    >>> Refused("empty", "empty file").code
    'empty'
    """

    def __init__(self, code: Code, what: str) -> None:
        super().__init__(what)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.code, self.what)


def code_of(error: PhotoError) -> Code:
    """
    >>> code_of(PhotoError("something else"))
    'damaged'
    """
    return error.code if isinstance(error, Refused) else "damaged"
