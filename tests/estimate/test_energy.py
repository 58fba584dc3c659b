"""Energy is power times time, and a battery lasts as long as its charge over the average."""

from __future__ import annotations

import pytest

from tinydeploy.boards import lookup
from tinydeploy.errors import UsageError
from tinydeploy.estimate.energy import Duty, duty, energy
from tinydeploy.results.estimated import Estimate

TIME = Estimate(6_000_000, 50.0, 48.0, 52.0, "a model", "points")


def test_energy_is_power_times_time() -> None:
    # 33.5 mW for 50 ms; the interval holds both, 5 % and 4 %.
    found = energy(lookup.board("nucleo_l4r5zi"), TIME, Duty())
    assert found is not None
    assert found.uj == pytest.approx(1675.0)
    assert (found.high / found.uj - 1) == pytest.approx(0.0640, abs=1e-4)
    assert found.battery_days is None and "33.5 mW" in found.method
    assert energy(lookup.board("due"), TIME, Duty()) is None


def test_a_battery_lasts_as_its_charge_over_the_average() -> None:
    # Every 10 s: 8.4 µW asleep in 99.5 % of the time, and (1675 + 25) µJ.
    found = energy(lookup.board("nucleo_l4r5zi"), TIME, Duty(10.0, 100.0, 25.0))
    assert found is not None and found.average_uw is not None
    assert found.average_uw == pytest.approx(8.4 * 0.995 + 170.0)
    assert found.battery_days == pytest.approx(100 * 3.6 * 3.0 * 1e6 / found.average_uw / 86400, abs=0.01)


def test_too_often_has_no_average() -> None:
    found = energy(lookup.board("nucleo_l4r5zi"), TIME, Duty(0.049, 100.0))
    assert found is not None and found.average_uw is None and found.battery_days is None


def test_how_a_duty_cycle_is_written() -> None:
    assert duty(None, None, None) == Duty()
    assert duty("500ms", "2Ah", 3.5) == Duty(0.5, 2000.0, 3.5)
    assert duty("1.5 min", None, None) == Duty(90.0)


@pytest.mark.parametrize(
    ("every", "battery", "words"),
    [
        ("0s", None, "'0s'"),
        ("1", None, "'1'"),
        ("one s", None, "'one s'"),
        ("-1s", None, "'-1s'"),
        ("1e9s", None, "'1e9s'"),
        ("999999999999h", None, "h'"),
        ("1s", "220", "'220'"),
        ("1s", "220mWh", "'220mWh'"),
        (None, "220mAh", "without --every"),
    ],
)
def test_what_is_no_duty_cycle(every: str | None, battery: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        duty(every, battery, None)
