"""The plugin for pytest, in tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
MOTION = Path(__file__).resolve().parents[2] / "models" / "motion"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs a test file in a process of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(MOTION.parents[1]))

    def ran(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "tinydeploy.lab.pytest_plugin", "-rs", *options)

    return ran


def test_it_deploys_once(run) -> None:  # type: ignore[no-untyped-def]
    run(
        f"""
        import time

        def test_first(deploy):
            result = deploy({str(MOTION)!r}, samples=4)
            assert result.accuracy.value > 0.5 and result.build.flash_bytes < 65_536
            test_first.result = result

        def test_second(deploy):
            assert deploy({str(MOTION)!r}, samples=4) is test_first.result
        """
    ).assert_outcomes(passed=2)


def test_a_board_by_its_marker_and_skips_that_say_why(run) -> None:  # type: ignore[no-untyped-def]
    done = run(
        f"""
        import pytest
        from tinydeploy import verbs
        from tinydeploy.errors import ToolError

        asked = []

        @pytest.fixture(autouse=True)
        def stand_in(monkeypatch):
            def run(model, **options):
                asked.append(options)
                raise ToolError("no compiler here", "apt-get install gcc-other")
            monkeypatch.setattr(verbs, "run", run)

        @pytest.mark.board("nano33ble")
        def test_marked(deploy):
            deploy({str(MOTION)!r})

        @pytest.mark.board("nano33ble", hardware=True)
        def test_hardware(deploy):
            raise AssertionError("not reached")

        def test_what_was_asked():
            assert [options["board"] for options in asked] == ["nano33ble"]
        """
    )
    done.assert_outcomes(passed=1, skipped=2)
    done.stdout.fnmatch_lines_random(
        [
            "*no compiler here (apt-get install gcc-other)*",
            "*nano33ble is needed itself: give --tinydeploy-port PORT*",
        ]
    )


def test_the_port_goes_to_the_marked_board(run) -> None:  # type: ignore[no-untyped-def]
    run(
        f"""
        import pytest
        from tinydeploy import verbs
        from tinydeploy.errors import UsageError

        @pytest.mark.board("nano33ble", hardware=True)
        def test_hardware(deploy, monkeypatch):
            asked = []
            def run(model, **options):
                asked.append(options)
                raise UsageError("seen")
            monkeypatch.setattr(verbs, "run", run)
            with pytest.raises(pytest.fail.Exception, match="seen"):
                deploy({str(MOTION)!r})
            with pytest.raises(pytest.fail.Exception, match="seen"):
                deploy({str(MOTION)!r}, board="mps2-an386")
            assert [options.get("port") for options in asked] == ["/dev/ttyX", None]
        """,
        "--tinydeploy-port",
        "/dev/ttyX",
    ).assert_outcomes(passed=1)


def test_any_other_failure_is_the_tests(run) -> None:  # type: ignore[no-untyped-def]
    done = run("def test_missing(deploy):\n    deploy('nowhere.tflite')\n")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*nowhere.tflite*"])
