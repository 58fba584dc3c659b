"""How the property tests run: no deadline (a busy machine is no failure), and in CI the same cases every time."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "tinydeploy",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tinydeploy")
