from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tinydeploy.diagnosis import doctor
from tinydeploy.host import tools


def test_everything_is_here() -> None:
    findings = {finding.name: finding for finding in doctor()}
    assert set(findings) == {
        "python",
        "platformio",
        "scons",
        "esptool",
        "arm-none-eabi-gcc",
        "qemu-system-arm",
        "riscv64-unknown-elf-gcc",
        "qemu-system-riscv32",
        "avr-gcc",
        "qemu-system-avr",
        "xtensa-lx106-elf-gcc",
        "qemu-system-xtensa",
        "g++",
        "libstdc++ for Arm",
        "renode",
        "tflite-micro",
        "cache",
    }
    # Both are large, and only the tflm engine or some boards need them.
    missing = {finding.name for finding in findings.values() if not finding.ok}
    assert missing <= {"libstdc++ for Arm", "renode"}
    version = subprocess.check_output(["arm-none-eabi-gcc", "-dumpfullversion"], text=True).strip()
    assert findings["arm-none-eabi-gcc"].version == version


def test_what_is_missing_comes_with_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RENODE", raising=False)
    broken = tmp_path / "qemu-system-arm"
    broken.write_text("#!/nowhere\n")
    broken.chmod(0o755)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "file" / "cache"))
    bad = {finding.name: finding for finding in doctor() if not finding.ok}
    gcc = bad["arm-none-eabi-gcc"]
    assert gcc.version == "not on PATH"
    assert gcc.default_path
    assert gcc.install == "apt-get install --no-install-recommends gcc-arm-none-eabi"
    assert bad["qemu-system-arm"].default_path
    assert not bad["riscv64-unknown-elf-gcc"].default_path
    assert bad["riscv64-unknown-elf-gcc"].needed_for == "riscv32 boards"
    assert "TINYDEPLOY_CACHE" in bad["cache"].install
    assert bad["renode"].version == "Renode is not installed"
    assert "renode.io" in bad["renode"].install


def test_the_makefile_asks_for_what_is_missing(tmp_path: Path) -> None:
    def missing(goal: str, path: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-S", "-m", "tinydeploy.host.tools", goal],
            cwd=Path(tools.__file__).parents[2],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout.split()

    assert missing("demo", str(tmp_path)) == ["gcc-arm-none-eabi", "qemu-system-arm", "g++"]
    assert set(missing("test", str(tmp_path))) > {
        "gcc-riscv64-unknown-elf",
        "qemu-system-riscv|qemu-system-misc",
    }
    for program in ("arm-none-eabi-gcc", "qemu-system-arm", "g++"):
        (tmp_path / program).touch(mode=0o755)
    assert missing("demo", str(tmp_path)) == []
