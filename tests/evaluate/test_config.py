import os
from pathlib import Path

import pytest

from tinydeploy.errors import UsageError
from tinydeploy.evaluate import config


def write(folder: Path, text: str) -> Path:
    (folder / "tinydeploy.toml").write_text(text)
    return folder / "model.tflite"


def test_without_a_file_everything_is_open(tmp_path: Path) -> None:
    assert config.load(tmp_path / "model.tflite") == config.Config()


def test_values_and_paths(tmp_path: Path) -> None:
    model = write(
        tmp_path,
        'board = "mps2-an385"\ndata = "test.npz"\ntimeout = 5\nlabels = ["a", "b"]\n'
        'metric = "auc"\noutput = 0\nthreshold = -0.5\n',
    )
    loaded = config.load(model)
    assert loaded.board == "mps2-an385"
    assert loaded.data == tmp_path / "test.npz"
    assert loaded.timeout == 5
    assert loaded.labels == ("a", "b")
    assert (loaded.metric, loaded.output, loaded.threshold) == ("auc", "0", -0.5)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('bord = "x"', "unknown key 'bord'", "did you mean 'board'?"),
        ("zzz = 1", "unknown key 'zzz'", "known keys: board,"),
        ('[tflm]\nlibary = "x"', "unknown key 'tflm.libary'", "did you mean 'tflm.library'?"),
        ("[tflm]\nlibrary = 3", "'tflm.library' must be a string", ""),
        ("board = 3", "'board' must be a string", ""),
        ("samples = true", "'samples' must be a whole number", ""),
        ("samples = 0", "'samples' must be above zero", ""),
        ("threshold = 'high'", "'threshold' must be a number", ""),
        ("output = [0]", "'output' must be a string", ""),
        ("labels = [1]", "'labels' must be a list of strings", ""),
        ("data = ''", "'data' is empty", ""),
        ("board = ", "Invalid value", ""),
        ("timeout = inf", "'timeout' must be a number, at most 86,400", ""),
        ("timeout = nan", "'timeout' must be a number", ""),
        ("timeout = -inf", "'timeout' must be above zero", ""),
        ("samples = 1" + 30 * "0", "'samples' must be a number, at most 10,000,000", ""),
        ("samples = " + 5000 * "9", "digits", ""),
        ("labels = " + 5000 * "[", "nested too deeply", ""),
        ('board = "\\u001b[31m"', "'board' holds characters that cannot be printed", ""),
        (
            'upload_command = "true"',
            "'upload_command' is a command",
            "--upload-command or TINYDEPLOY_UPLOAD_COMMAND",
        ),
        ('[tflm]\nlibrary = "https://example.org/x.git#0123456"', "'tflm.library' is code that will run", ""),
        ('[tflm]\nlibrary = "tree"', "'tflm.library' is code", "--tflm-library or TINYDEPLOY_TFLM"),
        ('out = "../elsewhere"', "'out' leads out of its folder", "-o or TINYDEPLOY_OUT"),
        ('out = "/tmp"', "'out' leads out of its folder", ""),
        ('out = "link/below"', "'out' leads out of its folder", ""),
        ('out = "a\\u0000b"', "'out' holds characters", ""),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str, hint: str) -> None:
    (tmp_path / "link").symlink_to("/tmp")
    with pytest.raises(UsageError) as caught:
        config.load(write(tmp_path, text))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "tinydeploy.toml" in caught.value.message


def test_a_folder_below_is_trusted(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, 'out = "results/today"\n')).out == tmp_path / "results" / "today"


def test_what_is_there_is_read(tmp_path: Path) -> None:
    """What cannot be is not taken for no file, as its limits would not be held."""
    write(tmp_path, "\ufeffboard = 'mps2-an386'")
    assert config.load(tmp_path / "model.tflite").board == "mps2-an386"
    for name in ("folder", "pipe", "link"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "tinydeploy.toml").mkdir()
    os.mkfifo(tmp_path / "pipe" / "tinydeploy.toml")
    (tmp_path / "link" / "tinydeploy.toml").symlink_to("nowhere")
    for name in ("folder", "pipe", "link"):
        with pytest.raises(UsageError, match=r"no regular file|No such file"):
            config.load(tmp_path / name / "model.tflite")


def test_what_is_no_utf8_is_said(tmp_path: Path) -> None:
    (tmp_path / "tinydeploy.toml").write_bytes(b'board = "\xff"')
    with pytest.raises(UsageError, match="decode"):
        config.load(tmp_path / "model.tflite")


def test_a_goal_in_the_file_is_aots(tmp_path: Path) -> None:
    """Whoever asks for tflm did not ask for the goal that usually counts."""
    file = config.Config(optimize="ram")
    assert config.settled(file, {"engine": "tflm"}, ("engine", "optimize")) == {"engine": "tflm"}
    assert config.settled(file, {"engine": "aot"}, ("optimize",))["optimize"] == "ram"
    assert config.settled(file, {"engine": "tflm", "optimize": "size"}, ("optimize",))["optimize"] == "size"
