"""How property tests run: without a deadline (a busy machine is no failure), in CI on the same cases."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "tinydeploy",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tinydeploy")
