"""The Jinja templates of firmware_templates/project."""

from __future__ import annotations

import jinja2

from tinydeploy import paths

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(paths.FIRMWARE / "project"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def render(template: str, **values: object) -> str:
    """The text that the template makes of `values`; one that it misses is an error."""
    return _ENVIRONMENT.get_template(template).render(**values)
