"""How property tests run: without a deadline (a busy machine is no failure), in CI on the same cases.

And which tests cannot run here.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tinydeploy.errors import ToolError
from tinydeploy.prepare import training_child
from tinydeploy.targets import renode

settings.register_profile(
    "tinydeploy",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tinydeploy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, find in (("renode", renode.program), ("train", _training_python)):
        try:
            find()
        except ToolError as error:
            skip = pytest.mark.skip(reason=f"not run: {error.message}")
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(skip)


def _training_python() -> object:
    return training_child.python("training (scripts/setup train)")
