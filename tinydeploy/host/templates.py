"""The Jinja templates: how an environment for them is made, and those of firmware_templates/project."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2

from tinydeploy.host import memo, paths
from tinydeploy.version import __version__


class _Bytecode(jinja2.BytecodeCache):
    """Compiled templates, kept by what they are compiled from. See Jinja."""

    def __init__(self, options: str) -> None:
        self._key = f"template {__version__} {options}"

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """See Jinja."""
        if found := memo.read(f"{self._key} {bucket.key} {bucket.checksum}"):
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """See Jinja."""
        memo.write(f"{self._key} {bucket.key} {bucket.checksum}", bucket.bytecode_to_string())


def environment(loader: jinja2.BaseLoader, **options: Any) -> jinja2.Environment:
    """Templates of which none has to be compiled twice, and which refuse what they are not told."""
    return jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Bytecode(" ".join(sorted(options))),
        **options,
    )


@cache
def _project() -> jinja2.Environment:
    return environment(
        jinja2.FileSystemLoader([paths.FIRMWARE / "project", paths.FIRMWARE / "export"]),
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **values: object) -> str:
    """The text that the template makes of `values`; one that it misses is an error."""
    return _project().get_template(template).render(**values)
