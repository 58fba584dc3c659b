"""A PlatformIO development platform that downloads nothing: compilers are those on PATH, SCons is pip's."""

import importlib.util
import json
from pathlib import Path

from platformio.dependencies import get_core_dependencies
from platformio.package.manager.core import get_core_package_dir
from platformio.platform.base import PlatformBase


class BaremetalPlatform(PlatformBase):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        _offer_installed_scons(Path(self.config.get("platformio", "packages_dir")))


def _offer_installed_scons(packages: Path) -> None:
    """Makes the SCons of this Python environment PlatformIO's tool-scons, which it would download otherwise.

    Does nothing if there is none, or if PlatformIO has its own already.
    """
    scons = importlib.util.find_spec("SCons")
    if scons is None or get_core_package_dir("tool-scons", auto_install=False):
        return
    folder = packages.parent / "scons"
    # The package's version is SCons' own in PlatformIO's spelling: 4.11.1 is "~4.41101.0".
    version = get_core_dependencies()["tool-scons"].lstrip("~")
    site = str(Path(scons.origin).parent.parent)
    runner = f"import sys\n\nsys.path.append({site!r})\n\nfrom SCons.Script.Main import main\n\nmain()\n"
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None}
    link = {"cwd": str(folder), "spec": {**spec, "uri": f"symlink://{folder}"}}
    _write(folder / "scons.py", runner)
    _write(folder / "package.json", json.dumps({"name": "tool-scons", "version": version}))
    _write(packages / "tool-scons.pio-link", json.dumps(link))


def _write(path: Path, text: str) -> None:
    # Another process that builds with the same folder may be reading it.
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".new")
    whole.write_text(text)
    whole.replace(path)
