"""What every page is made with: Jinja2 with escaping on, and the templates of this package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from sortograph.errors import MissingExtra

if TYPE_CHECKING:
    from jinja2 import Environment, Template


def template(name: str) -> Template:
    """That of `templates/`, compiled. Raises MissingExtra where Jinja2 is not installed."""
    return _engine().get_template(name)


def rendered(page: Template, context: Mapping[str, Any]) -> str:
    """The page as text that is safe to encode as UTF-8.

    All data are escaped; bytes of names that are no UTF-8 become replacement marks.
    """
    return page.render(context).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def packaged(name: str) -> str:
    """The text of a file of `templates/`."""
    return (resources.files("sortograph.reporting") / "templates" / name).read_text(encoding="utf-8")


def _engine() -> Environment:
    try:
        import jinja2
    except ImportError:
        raise MissingExtra.of("train", "jinja2") from None
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(packaged),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
