"""Photos sorted into folders by what a model says: a plan, acts with a journal, an exact undo, and a
review."""

from sortograph.sorting.back import undo
from sortograph.sorting.carry import Carrier, apply, resume
from sortograph.sorting.desk import back, new_trail, on
from sortograph.sorting.names import class_folders
from sortograph.sorting.places import check_ends, check_room
from sortograph.sorting.plan import Wish, make_plan
from sortograph.sorting.review import review
from sortograph.sorting.template import DEFAULT, read_template
from sortograph.sorting.watch import arriving, notices

__all__ = [
    "DEFAULT",
    "Carrier",
    "Wish",
    "apply",
    "arriving",
    "back",
    "check_ends",
    "check_room",
    "class_folders",
    "make_plan",
    "new_trail",
    "notices",
    "on",
    "read_template",
    "resume",
    "review",
    "undo",
]
