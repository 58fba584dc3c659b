"""A folder of images, one subfolder a class, as samples of a model's input. Decoded by Pillow."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tinydeploy.errors import DataError, UsageError
from tinydeploy.model.graph import DType, Tensor
from tinydeploy.model.preparation import Preparation
from tinydeploy.model.preprocessing_hints import pixel_scaling
from tinydeploy.model.readers.loaded import Array, Loaded, check_room, classes_of, in_classes, left_out

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_MODES = {"grey": "L", "rgb": "RGB", "bgr": "RGB"}
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_MOST_PIXELS = 1 << 26  # of an image before it is made smaller


def read(root: Path, tensor: Tensor, wish: Preparation) -> Loaded:
    """X float32 [n, height, width, channels], or [n, height * width * channels] for an input of rank 2.

    Height, width and colour are the model's, or `wish`'s where the model leaves them open. Images are
    stretched to that size (bilinear), turned as their EXIF data say, and scaled by `wish`, or so that pixels
    fill the range of a quantised input. Raises DataError and UsageError.
    """
    height, width, colour = _form(root, tensor, wish)
    scaling = _scaling(root, tensor, wish)
    files, others = classes_of(root, SUFFIXES, "images")
    channels = 1 if colour == "grey" else 3
    check_room(str(root), len(files), (height, width, channels))
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    resized = 0
    for row, (path, _) in enumerate(files):
        image, was = _decoded(path, _MODES[colour])
        if was != (width, height):
            image, resized = image.resize((width, height), Image.Resampling.BILINEAR), resized + 1
        found = np.asarray(image, np.uint8).reshape(height, width, channels)
        pixels[row] = found[..., ::-1] if colour == "bgr" else found
    done = replace(scaling, colour=colour, size=(height, width))
    x: Array = scaling.applied(str(root), pixels)
    if len(tensor.shape) <= 2:
        x = x.reshape(len(x), -1)
    names = [name for _, name in files]
    y, many = in_classes(names)
    stretched = f", {resized:,} of them stretched to" if resized else " of"
    what = f"{len(files):,} images {many}{stretched} {height}×{width} {colour}, each pixel {done.formula}"
    return Loaded({"x": x} | y, what + left_out(others, "images"), done)


def _form(root: Path, tensor: Tensor, wish: Preparation) -> tuple[int, int, str]:
    """Height, width and colour."""
    core = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    if len(core) == 3 and core[2] in (1, 3):
        height, width, channels = core
    elif len(core) == 2:
        (height, width), channels = core, 1
    elif len(core) == 1 and wish.size and core[0] % (wish.size[0] * wish.size[1]) == 0:
        (height, width), channels = wish.size, core[0] // (wish.size[0] * wish.size[1])
    else:
        hint = 'say what images they were: [data] size = [28, 28], colour = "grey", in tinydeploy.toml'
        raise UsageError(f"{root} holds images, and the model takes {list(tensor.shape)}", hint)
    if wish.size and wish.size != (height, width):
        raise UsageError(
            f"`size` says {wish.size[0]}×{wish.size[1]}, and the model takes images of {height}×{width}"
        )
    colour = wish.colour or {1: "grey", 3: "rgb"}.get(channels, "")
    if not colour or (colour == "grey") != (channels == 1):
        raise UsageError(f"`colour` says '{wish.colour}', and the model takes {channels} channels")
    return height, width, colour


def _scaling(root: Path, tensor: Tensor, wish: Preparation) -> Preparation:
    if wish.scale or wish.mean:
        return wish
    found = pixel_scaling(tensor) if tensor.dtype is not DType.FLOAT32 else None
    if found is None:
        raise UsageError(
            f"{root} holds pixels from 0 to 255, and nothing says how the model takes them",
            "[data] mean = 0, scale = 255 in the tinydeploy.toml beside the model makes 0 to 1 of them; or a "
            "card, model.toml, that holds the same in [input]",
        )
    return replace(wish, mean=(found[0],), scale=(found[1],))


def _decoded(path: Path, mode: str) -> tuple[Any, tuple[int, int]]:
    """The image in this mode, and its width and height as it was. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise DataError(f"{path} has {image.width}×{image.height} pixels: too many")
                if image.mode in _DEEP:
                    raise DataError(f"{path} has more than 8 bits a channel", "save it with 8 bits")
                turned = ImageOps.exif_transpose(image)
                return turned.convert(mode), (turned.width, turned.height)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged image makes Pillow raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120]
        raise DataError(
            f"{path} cannot be read as an image: {reason}", "remove it, or save it anew"
        ) from error
