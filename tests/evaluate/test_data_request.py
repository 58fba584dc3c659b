"""Data of all kinds: folders of images and WAV files, tables, single arrays, a Python file's function."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_builder import ModelBuilder
from PIL import Image

from tinydeploy.errors import DataError, TinydeployError, UsageError
from tinydeploy.evaluate import config, data_request
from tinydeploy.evaluate.request import Beside, labelled_samples
from tinydeploy.host import memo
from tinydeploy.model import samples as sample_files
from tinydeploy.model.card import Card
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import NO_WISHES
from tinydeploy.model.preparation import AS_IS, Preparation
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples

PLAIN = Preparation(scale=(1.0,))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "cache"))


def classifier(
    shape: tuple[int, ...], classes: int = 3, scale: float = 1 / 255, zero_point: int = -128
) -> Graph:
    """A SOFTMAX of `classes` over a layer, of an input of this shape."""
    model, size = ModelBuilder(), int(np.prod(shape))
    x = model.tensor(shape, scale=scale, zero_point=zero_point, name="x")
    weights = model.tensor((classes, size), scale=0.01, data=np.ones((classes, size), np.int8))
    flat = model.tensor((1, size), scale=scale, zero_point=zero_point)
    scores, y = (
        model.tensor((1, classes), scale=0.1),
        model.tensor((1, classes), scale=1 / 256, zero_point=-128),
    )
    to = model.tensor((2,), "int32", data=np.array([1, size], np.int32))
    model.op("RESHAPE", [x, to], [flat], new_shape=[1, size])
    model.op("FULLY_CONNECTED", [flat, weights, -1], [scores])
    model.op("SOFTMAX", [scores], [y], beta=1.0)
    return tflite_model.parse(model.build([x], [y]), "model.tflite")


def read(data: Any, graph: Graph, wish: Preparation = AS_IS) -> Samples:
    return sample_files.load(data_request.read(data, graph, wish), graph)


def save_image(path: Path, pixels: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def save_wav(path: Path, values: Any, rate: int = 8000, width: int = 2, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(values, "<i2").tobytes())


# Images


def test_images_fill_the_models_range(tmp_path: Path) -> None:
    root = tmp_path / "images"
    save_image(root / "cat" / "a.png", np.full((4, 6), 255))
    save_image(root / "dog" / "b.png", np.zeros((4, 6)))
    save_image(root / "owl" / "c.png", np.full((8, 12, 3), 51))  # twice as large, and in colour
    (root / "readme.txt").write_text("no image")
    found = read(root, classifier((1, 4, 6, 1)))
    assert found.given[0].shape == (3, 1, 4, 6, 1)
    np.testing.assert_allclose(found.given[0].reshape(3, -1)[:, 0], [1, 0, 0.2], atol=1e-6)
    assert found.inputs[0].reshape(3, -1)[:, 0].tolist() == [127, -128, -77]
    assert found.judge is not None and found.judge.truth[:, 0].tolist() == [0, 1, 2]
    assert found.judge.names == ("cat", "dog", "owl")
    first, second = found.told
    assert "3 images in 3 subfolders" in first and "1 of them stretched to 4×6 grey" in first
    assert "v / 255" in first and "1 files that are no images are left out" in first
    assert "3 classes: cat (1), dog (1), owl (1)" in second


@pytest.mark.parametrize(
    ("scale", "zero_point", "white", "formula"),
    [(1 / 255, -128, 1.0, "v / 255"), (2 / 255, 0, 1.0, "(v - 127.5) / 127.5"), (1.0, -128, 255.0, "v / 1")],
)
def test_scaling_follows_from_the_input(
    tmp_path: Path, scale: float, zero_point: int, white: float, formula: str
) -> None:
    save_image(tmp_path / "in" / "1" / "a.png", np.full((2, 2, 3), 255))
    found = read(tmp_path / "in", classifier((1, 2, 2, 3), scale=scale, zero_point=zero_point))
    assert float(found.given[0].max()) == pytest.approx(white)
    assert formula in found.told[0]


def test_channels_of_colours_have_means_of_their_own(tmp_path: Path) -> None:
    pixels = np.tile([10, 20, 30], (2, 2, 1))
    save_image(tmp_path / "in" / "0" / "a.png", pixels)
    wish = Preparation(mean=(1.0, 2.0, 3.0), scale=(1.0, 2.0, 4.0))
    graph = classifier((1, 2, 2, 3), scale=0.1)
    assert read(tmp_path / "in", graph, wish).given[0][0, 0, 0, 0].tolist() == [9, 9, 6.75]
    bgr = read(tmp_path / "in", graph, Preparation(scale=(1.0,), colour="bgr"))
    assert bgr.given[0][0, 0, 0, 0].tolist() == [30, 20, 10]
    with pytest.raises(UsageError, match="2 numbers for 3 channels"):
        read(tmp_path / "in", graph, Preparation(scale=(1.0, 2.0)))


def test_numbers_as_names_of_folders_are_numbers(tmp_path: Path) -> None:
    for name in range(12):
        save_image(tmp_path / "in" / str(name) / "a.png", np.full((2, 2), name))
    found = read(tmp_path / "in", classifier((1, 2, 2, 1), classes=12))
    assert found.judge is not None
    assert found.judge.truth[:, 0].tolist() == (found.given[0][:, 0, 0, 0, 0] * 255).round().tolist()


def test_images_as_cameras_turn_them(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90° to the right
    save_image(tmp_path / "in" / "0" / "a.png", [[0, 100, 200]], exif=turned)
    found = read(tmp_path / "in", classifier((1, 3, 1, 1)), PLAIN)
    assert found.given[0].reshape(-1).tolist() == [0, 100, 200]


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    graph = classifier((1, 2, 2, 1))
    save_image(tmp_path / "mixed" / "a" / "a.png", np.zeros((2, 2)))
    save_image(tmp_path / "mixed" / "b.png", np.zeros((2, 2)))
    (tmp_path / "broken" / "a").mkdir(parents=True)
    (tmp_path / "broken" / "a" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (tmp_path / "deep" / "a").mkdir(parents=True)
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "deep" / "a" / "a.png")
    (tmp_path / "empty").mkdir()
    save_image(tmp_path / "both" / "a" / "a.png", np.zeros((2, 2)))
    save_wav(tmp_path / "both" / "a" / "a.wav", [1, 2])
    for name, words in {
        "mixed": "in subfolders and beside them: b.png",
        "broken": r"a\.png cannot be read as an image",
        "deep": "more than 8 bits",
        "empty": "neither images nor WAV files",
        "both": "both images and WAV files",
    }.items():
        with pytest.raises(DataError, match=words):
            read(tmp_path / name, graph)
    with pytest.raises(UsageError, match="nothing says how the model takes them"):
        read(tmp_path / "deep", classifier((1, 2, 2, 1), scale=0.3))
    with pytest.raises(UsageError, match="takes 1 channels"):
        read(tmp_path / "deep", graph, Preparation(colour="rgb"))
    with pytest.raises(UsageError, match=r"holds images, and the model takes \[1, 7\]"):
        read(tmp_path / "deep", classifier((1, 7)))


def test_a_folder_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = classifier((1, 2, 2, 1))
    save_image(tmp_path / "in" / "0" / "a.png", np.full((2, 2), 7))
    first = read(tmp_path / "in", graph)
    monkeypatch.setattr(memo, "write", lambda key, content: pytest.fail("it was read anew"))
    again = read(tmp_path / "in", graph)
    np.testing.assert_array_equal(first.inputs[0], again.inputs[0])
    assert first.told == again.told and first.source == again.source
    monkeypatch.undo()
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "cache"))
    save_image(tmp_path / "in" / "0" / "a.png", np.full((2, 2), 8))
    changed = read(tmp_path / "in", graph)
    assert changed.source != first.source and float(changed.given[0].max()) == pytest.approx(8 / 255)


# WAV files


def test_wav_files_are_cut_and_padded(tmp_path: Path) -> None:
    save_wav(tmp_path / "in" / "no" / "a.wav", [16384, -32768, 0, 8192, 4096])
    save_wav(tmp_path / "in" / "yes" / "b.wav", [16384, 0])
    graph = classifier((1, 4, 1), classes=2, scale=1 / 128, zero_point=0)
    found = read(tmp_path / "in", graph)
    assert found.given[0].reshape(2, 4).tolist() == [[0.5, -1, 0, 0.25], [0.5, 0, 0, 0]]
    assert "2 WAV files in 2 subfolders" in found.told[0] and "at 8,000 Hz" in found.told[0]
    assert "1 padded with zeros; 1 cut" in found.told[0] and "v / 32768" in found.told[0]
    windows = read(tmp_path / "in", graph, Preparation(stride=1))
    assert windows.given[0].reshape(3, 4)[1].tolist() == [-1, 0, 0.25, 0.125]
    assert windows.judge is not None and windows.judge.truth[:, 0].tolist() == [0, 0, 1]


def test_wav_files_that_cannot_be_used(tmp_path: Path) -> None:
    graph = classifier((1, 4), classes=2)
    save_wav(tmp_path / "rate" / "a" / "a.wav", [1, 2])
    save_wav(tmp_path / "rate" / "a" / "b.wav", [1, 2], rate=16000)
    save_wav(tmp_path / "stereo" / "a" / "a.wav", [1, 2], channels=2)
    save_wav(tmp_path / "bytes" / "a" / "a.wav", [1, 2], width=1)
    save_wav(tmp_path / "none" / "a" / "a.wav", [])
    save_wav(tmp_path / "empty" / "a" / "a.wav", [])
    (tmp_path / "empty" / "a" / "a.wav").write_bytes(b"")
    save_wav(tmp_path / "cut" / "a" / "a.wav", [1] * 9)
    os.truncate(tmp_path / "cut" / "a" / "a.wav", 44 + 11)
    (tmp_path / "text" / "a").mkdir(parents=True)
    (tmp_path / "text" / "a" / "a.wav").write_text("RIFF")
    for name, words in {
        "rate": "16,000 samples a second where 8,000",
        "stereo": "2 channels",
        "bytes": "8 bits a sample",
        "none": "no audio",
        "text": "cannot be read as a WAV file",
        "empty": "cannot be read as a WAV file: it is cut short",
        "cut": "cut short: it tells of 9 samples, and 5 are there",
    }.items():
        with pytest.raises(DataError, match=words):
            read(tmp_path / name, graph)
    with pytest.raises(DataError, match="where 16,000 are wanted"):
        read(tmp_path / "rate", graph, Preparation(rate=16000))
    with pytest.raises(UsageError, match="holds WAV files, and the model takes"):
        read(tmp_path / "rate", classifier((1, 49, 10, 1)))


# Tables

ROWS = """ax,ay,label,group
0,10,walk,anna
1,11,walk,anna
2,12,run,anna
3,13,run,bert
4,14,run,bert
5,15,run,bert
"""


def test_a_row_is_a_sample(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("\ufeff" + ROWS)  # as Excel writes it
    found = read(file, classifier((1, 2), classes=2, scale=0.1, zero_point=0))
    assert found.given[0].reshape(6, 2)[3].tolist() == [3, 13]
    assert found.judge is not None and found.judge.names == ("run", "walk")
    assert found.groups is not None and found.groups.tolist() == ["anna"] * 3 + ["bert"] * 3
    assert "6 rows of 2 columns (CSV with commas: ax, ay), as they are" in found.told[0]
    assert "2 groups: anna (3), bert (3)" in found.told[1]
    scaled = read(file, classifier((1, 2), classes=2, scale=0.1), Preparation(mean=(1.0, 10.0), scale=(2.0,)))
    assert scaled.given[0].reshape(6, 2)[3].tolist() == [1, 1.5]


def test_a_row_may_hold_an_image(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text('label;"a,1";"b,2";c;d\n\n1;0;1;2;3\n0;4;5;6;7\n')
    found = read(file, classifier((1, 2, 2, 1), classes=2, scale=0.1, zero_point=0))
    assert found.given[0].reshape(2, 2, 2)[1].tolist() == [[4, 5], [6, 7]]
    assert "2 rows of 4 columns (CSV with semicolons: a,1, b,2, c, d)" in found.told[0]


def test_windows_lie_within_a_group_and_a_class(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(ROWS.replace(",", ";"))
    graph = classifier((1, 2, 2), classes=2, scale=0.1, zero_point=0)
    found = read(file, graph, Preparation(stride=1))
    assert found.given[0][:, 0, :, 0].tolist() == [[0, 1], [3, 4], [4, 5]]
    assert found.groups is not None and found.groups.tolist() == ["anna", "bert", "bert"]
    assert "windows of 2 rows every 1, without 2" in found.told[0] and "semicolons" in found.told[0]
    one = read(file, classifier((1, 2), classes=2, scale=0.1), Preparation(features=("ay", "ax")))
    assert one.given[0].reshape(6, 2)[0].tolist() == [10, 0]


def test_labels_of_a_table_are_numbers_if_they_can_be(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    graph = classifier((1, 1), classes=3)
    file.write_text("a,room\n1,2\n3,0\n")
    found = read(file, graph, Preparation(label="room"))
    assert found.judge is not None and found.judge.truth[:, 0].tolist() == [2, 0]
    file.write_text("a,b\n1,2\n3,0\n")
    unlabelled = read(file, classifier((1, 2)))
    assert unlabelled.judge is None and "no column 'label', so no labels" in unlabelled.told[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n", "a header and no rows"),
        ("1,2\n3,4\n", "no header"),
        ("a,a\n1,2\n", "two columns 'a'"),
        ("a,b\n1,2\n1\n", "line 3 has 1 fields"),
        ("a,b\n1,x\n", "column 'b' holds 'x' in row 1"),
        ("a,b\n1,2\n1,\n", "column 'b' is empty in row 2"),
        ("a,b\n1,nan\n", "column 'b' holds 'nan'"),
        ("a,b,c\n1,2,3\n", "3 columns of features, and the model takes"),
        ('a,b\n1,"2\n', "cannot be read as a CSV"),
        ("a,b,label\n1,2,x\n1,2,\n", "column 'label' is empty in row 2"),
        ("\ud8ff,b\n1,2\n", "no text in UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError, match=words):
        read(file, classifier((1, 2)))


def test_numbers_with_a_comma_get_a_hint_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a;b\n1,5;2\n")
    with pytest.raises(DataError, match="column 'a' holds '1,5'") as error:
        read(tmp_path / "data.csv", classifier((1, 2)))
    assert "with a point" in error.value.hint


def test_parquet_names_what_installs_its_reader(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(TinydeployError, match="Parquet") as error:
        read(file, classifier((1, 2)))
    assert "tinydeploy[parquet]" in error.value.hint or "cannot be read" in error.value.message


# Arrays, and Python


@pytest.mark.parametrize("name", ["", "pipe.npy", f"{'a' * 5000}.py", f"{'a' * 5000}.csv"])
def test_names_of_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(TinydeployError, match=r"empty string|no regular file|cannot be read"):
        read(name and str(tmp_path / name), classifier((1, 2)))


def test_single_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32).reshape(2, 2) / 255)
    np.save(tmp_path / "y.npy", np.array([2, 1]))
    graph = classifier((1, 2))
    both = read(f"{tmp_path / 'x.npy'},y.npy", graph)
    assert both.judge is not None and both.judge.truth[:, 0].tolist() == [2, 1]
    assert both.told[0] == "data: x of x.npy, y of y.npy"
    alone = read(tmp_path / "x.npy", graph)
    assert alone.judge is None and "without labels" in alone.told[0]
    (tmp_path / "bad.npy").write_text("no array")
    with pytest.raises(DataError, match=r"bad\.npy is no array"):
        read(tmp_path / "bad.npy", graph)
    with pytest.raises(DataError, match="no such data file"):
        read(f"{tmp_path / 'x.npy'},z.npy", graph)
    np.save(tmp_path / "objects.npy", np.array([None, 1]), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        read(tmp_path / "objects.npy", graph)


def test_every_path_of_several_is_meant_from_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "model, too" / "data"
    deep.mkdir(parents=True)
    here = tmp_path / "here"
    (here / "data").mkdir(parents=True)
    (here / "y.npy").write_bytes(b"not this")
    (here / "data" / "y.npy").write_bytes(b"nor this")
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 12
    for name, array in {"x": x, "y": np.array([0, 1, 2]), "group": np.array(["a", "a", "b"])}.items():
        np.save(deep / f"{name}.npy", array)
    monkeypatch.chdir(here)
    file = deep.parent / "tinydeploy.toml"
    for named in (
        "data/x.npy,data/y.npy,data/group.npy",
        "data/x.npy, y.npy, group.npy",
        f"data/x.npy,{deep / 'y.npy'},../model, too/data/group.npy",
    ):
        file.write_text(f'data = "{named}"\n')
        found = config.load(deep.parent / "model.tflite").data
        assert list(map(os.path.realpath, data_request.files(str(found)))) == [
            str(deep / f"{name}.npy") for name in ("x", "y", "group")
        ]
        samples = read(found, classifier((1, 4)))
        assert samples.groups is not None and samples.groups.tolist() == ["a", "a", "b"]
    for named, meant in (("x.npz", "x.npz"), ("a,b/x.npz", "a,b/x.npz"), ("d.py:load", "d.py:load")):
        assert data_request.anchored(named, deep) == str(deep / meant)


def test_the_content_of_data_is_that_of_each_file(tmp_path: Path) -> None:
    named = f"{tmp_path / 'x.npy'},y.npy"
    assert data_request.content(named) == ""
    told = set()
    for x, y in ((1, 2), (1, 3), (0, 3)):
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
        told.add(data_request.content(named))
    assert len(told) == 3
    (tmp_path / "data.py").write_text("def load(): pass")
    assert data_request.content(f"{tmp_path / 'data.py'}:load") == data_request.digest(tmp_path / "data.py")


def test_a_python_file_gives_data(tmp_path: Path) -> None:
    file = tmp_path / "data.py"
    file.write_text(
        "import numpy as np\n"
        "print('loading')\n"
        "def load():\n    return np.zeros((2, 2), 'float32') + 0.5, [0, 1], ['a', 'b']\n"
        "def other():\n    return {'x': np.ones((1, 2), 'float32')}\n"
        "def broken():\n    raise RuntimeError('no disk')\n"
        "def wrong():\n    return 3\n"
    )
    graph = classifier((1, 2))
    found = read(file, graph)
    assert found.count == 2 and found.groups is not None and found.groups.tolist() == ["a", "b"]
    assert read(f"{file}:other", graph).count == 1
    for name, words in {
        "broken": "no disk",
        "wrong": "neither",
        "nothing": r"no function nothing\(\)",
    }.items():
        with pytest.raises(DataError, match=words):
            read(f"{file}:{name}", graph)
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "other.py", graph)


def test_a_file_beside_a_model_names_no_python(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    for text in ('data = "data.py"', '[data]\nfile = "data.py:load"'):
        (tmp_path / "tinydeploy.toml").write_text(text)
        with pytest.raises(UsageError, match="'data' is code that will run"):
            config.load(model)


def test_groups_belong_to_samples(tmp_path: Path) -> None:
    graph = classifier((1, 2))
    x = np.zeros((3, 2), np.float32)
    found = read((x, [0, 1, 2], [1, 1, 2]), graph)
    assert found.groups is not None and found.groups.tolist() == ["1", "1", "2"]
    with pytest.raises(DataError, match=r"group has shape \[2\] for 3 samples"):
        read((x, [0, 1, 2], [1, 2]), graph)


# What files beside the model say


def test_a_table_of_the_configuration_prepares_data(tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    (tmp_path / "tinydeploy.toml").write_text(
        'board = "mps2-an386"\n[data]\nfile = "images"\nmean = [1, 2, 3]\nscale = 4\n'
    )
    assert config.load(model).data == tmp_path / "images"  # type: ignore[attr-defined]
    assert config.preparation(model) == Preparation(mean=(1.0, 2.0, 3.0), scale=(4.0,))
    for line, words in {
        "scale = 0": "must not be 0",
        'scale = "x"': "must be a number",
        "means = 1": "unknown key 'means'",
        "colour = 'pink'": "must be one of grey",
        "window = -1": "a whole number",
        "size = [3]": "height and width",
        "mean = nan": "finite",
    }.items():
        (tmp_path / "tinydeploy.toml").write_text(f"[data]\n{line}\n")
        with pytest.raises(UsageError, match=words):
            config.preparation(model)


def test_data_unlike_the_training_data_are_told() -> None:
    graph = classifier((1, 2), scale=1.0)
    card = Card(path="model.toml", preparation=Preparation(scale=(255.0,)), range=(0.0, 1.0))
    x = np.linspace(0, 255, 20).reshape(10, 2)
    asked = {"count": None, "wishes": NO_WISHES}
    found = labelled_samples(graph, (x,), beside=Beside(card), **asked)  # type: ignore[arg-type]
    assert "x lies between 0 and 255, and its training data between 0 and 1" in found.warnings[0]
    assert "by v / 255?" in found.warnings[0]
    right = labelled_samples(graph, (x / 255,), beside=Beside(card), **asked)  # type: ignore[arg-type]
    assert not any("training data" in warning for warning in right.warnings)
