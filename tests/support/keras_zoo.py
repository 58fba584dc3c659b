"""A zoo of small Keras models of all common layers, converted to .tflite as people do it.

echo act_elu_open_int8 | python -P tests/support/keras_zoo.py FOLDER

writes into FOLDER act_elu_open_int8.tflite, and act_elu_open_int8.npz with inputs x0, x1 … and what
TensorFlow Lite makes of them, y0, y1 …; or act_elu_open_int8.refused with what its converter said. It
does so for every line that it reads, and answers with that line. Only this file's own run imports TensorFlow:
the tests read FILES, and run this file with a Python that has it.

Each function below that takes `batch` is a model: with None its batch is open, as Keras leaves it by default,
with 1 it is fixed. Weights and calibration samples are random.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras
    import tensorflow as tf
    import tf_keras
    from keras import layers, ops
    from keras.layers import Activation, BatchNormalization, Conv1D, Conv2D, Dense, DepthwiseConv2D, Flatten

Tensor = Any
Model = Any
Batch = int | None
Builder = Callable[[Batch], Model]

BATCHES: dict[str, Batch] = {"open": None, "fixed": 1}
PRECISIONS = ("int8", "16x8")
CALIBRATION = 8  # samples that the converter sees
SAMPLES = 4  # that a file is judged by

ZOO: dict[str, Builder] = {}


def zoo(build: Builder) -> Builder:
    """Takes the function's model into the zoo, under its name."""
    ZOO[build.__name__] = build
    return build


def chain(shape: tuple[int, ...], batch: Batch, *parts: Any, dtype: str = "float32") -> Model:
    """A sequential model."""
    return keras.Sequential([keras.Input(shape, batch_size=batch, dtype=dtype), *parts])


def mapped(shape: tuple[int, ...], batch: Batch, function: Callable[[Tensor], Tensor]) -> Model:
    """A model of one input that is whatever `function` makes of it."""
    given = keras.Input(shape, batch_size=batch)
    return keras.Model(given, function(given))


# Whole models, as the tutorials and the MLPerf Tiny benchmark have them.


@zoo
def tutorial_mnist(batch: Batch) -> Model:
    return chain((28, 28), batch, Flatten(), Dense(32, "relu"), layers.Dropout(0.2), Dense(10))


@zoo
def tutorial_mnist_softmax(batch: Batch) -> Model:
    return chain((28, 28), batch, Flatten(), Dense(32, "relu"), Dense(10, "softmax"))


@zoo
def tutorial_quantized_mnist(batch: Batch) -> Model:
    body = [layers.Reshape((28, 28, 1)), Conv2D(12, 3, activation="relu"), layers.MaxPooling2D(), Flatten()]
    return chain((28, 28), batch, *body, Dense(10))


@zoo
def tutorial_cifar_cnn(batch: Batch) -> Model:
    body = [Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), Conv2D(16, 3, activation="relu")]
    return chain((16, 16, 3), batch, *body, layers.MaxPooling2D(), Flatten(), Dense(16, "relu"), Dense(10))


@zoo
def tutorial_flowers(batch: Batch) -> Model:
    body = [layers.Rescaling(1 / 255), Conv2D(8, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    return chain((24, 24, 3), batch, *body, layers.Dropout(0.2), Flatten(), Dense(16, "relu"), Dense(5))


@zoo
def tutorial_simple_audio(batch: Batch) -> Model:
    body = [
        layers.Resizing(16, 16),
        layers.Normalization(mean=0.1, variance=1.2),
        Conv2D(8, 3, activation="relu"),
    ]
    body += [Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.25), Flatten()]
    return chain((62, 33, 1), batch, *body, Dense(16, "relu"), Dense(8))


@zoo
def tutorial_text(batch: Batch) -> Model:
    body = [
        layers.Embedding(100, 8),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(0.2),
        Dense(1, "sigmoid"),
    ]
    return chain((16,), batch, *body, dtype="int32")


@zoo
def tutorial_regression(batch: Batch) -> Model:
    scaled = layers.Normalization(mean=np.arange(9) / 9, variance=np.full(9, 0.7))
    return chain((9,), batch, scaled, Dense(32, "relu"), Dense(32, "relu"), Dense(1))


@zoo
def hello_world(batch: Batch) -> Model:
    return chain((1,), batch, Dense(16, "relu"), Dense(16, "relu"), Dense(1))


@zoo
def tutorial_autoencoder(batch: Batch) -> Model:
    conv = {"kernel_size": 3, "activation": "relu", "padding": "same", "strides": 2}
    body = [Conv2D(8, **conv), Conv2D(4, **conv), layers.Conv2DTranspose(4, **conv)]
    body += [layers.Conv2DTranspose(8, **conv), Conv2D(1, 3, activation="sigmoid", padding="same")]
    return chain((16, 16, 1), batch, *body)


@zoo
def anomaly_autoencoder(batch: Batch) -> Model:
    def block(width: int) -> list[Any]:
        return [Dense(width), BatchNormalization(), Activation("relu")]

    return chain((64,), batch, *block(32), *block(8), *block(32), Dense(64))


@zoo
def keyword_ds_cnn(batch: Batch) -> Model:
    def norm() -> list[Any]:
        return [BatchNormalization(), Activation("relu")]

    body = [Conv2D(16, (10, 4), strides=2, padding="same"), *norm(), layers.Dropout(0.2)]
    for _ in range(2):
        body += [DepthwiseConv2D(3, padding="same"), *norm(), Conv2D(16, 1, padding="same"), *norm()]
    body += [layers.AveragePooling2D((25, 5)), Flatten(), Dense(12, "softmax")]
    return chain((49, 10, 1), batch, *body)


@zoo
def micro_speech(batch: Batch) -> Model:
    body = [DepthwiseConv2D((10, 8), 2, padding="same", depth_multiplier=8, activation="relu"), Flatten()]
    return chain((49, 40, 1), batch, *body, Dense(4, "softmax"))


@zoo
def mobilenet_block(batch: Batch) -> Model:
    def block(x: Tensor, stride: int, filters: int) -> Tensor:
        y = layers.ReLU(6.0)(BatchNormalization()(Conv2D(4 * x.shape[-1], 1, use_bias=False)(x)))
        if stride == 2:
            y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
        padding = "same" if stride == 1 else "valid"
        y = layers.ReLU(6.0)(BatchNormalization()(DepthwiseConv2D(3, stride, padding, use_bias=False)(y)))
        y = BatchNormalization()(Conv2D(filters, 1, use_bias=False)(y))
        return layers.Add()([x, y]) if y.shape == x.shape else y

    def net(x: Tensor) -> Tensor:
        y = block(block(Conv2D(8, 3, 2, padding="same", activation="relu6")(x), 1, 8), 2, 12)
        return Dense(4, "softmax")(layers.GlobalAveragePooling2D()(y))

    return mapped((24, 24, 3), batch, net)


@zoo
def mobilenet_v2(batch: Batch) -> Model:
    given = keras.Input((32, 32, 3), batch_size=batch)
    return keras.applications.MobileNetV2(input_tensor=given, alpha=0.35, weights=None, classes=5)


@zoo
def mobilenet_v3(batch: Batch) -> Model:
    given = keras.Input((32, 32, 3), batch_size=batch)
    return keras.applications.MobileNetV3Small(
        input_tensor=given, alpha=0.35, weights=None, classes=5, minimalistic=False
    )


@zoo
def resnet_block(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Activation("relu")(BatchNormalization()(Conv2D(8, 3, padding="same")(x)))
        y = Activation("relu")(BatchNormalization()(Conv2D(16, 3, 2, padding="same")(x)))
        y = BatchNormalization()(Conv2D(16, 3, padding="same")(y))
        x = Activation("relu")(layers.Add()([Conv2D(16, 1, 2)(x), y]))
        return Dense(10, "softmax")(Flatten()(layers.AveragePooling2D(8)(x)))

    return mapped((16, 16, 3), batch, net)


@zoo
def unet(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        skip = Conv2D(4, 3, padding="same", activation="relu")(x)
        y = Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(skip))
        y = layers.Concatenate()([layers.Conv2DTranspose(4, 2, strides=2)(y), skip])
        return Conv2D(3, 1, activation="softmax")(y)

    return mapped((16, 16, 3), batch, net)


# Convolutions, and what moves pixels.


@zoo
def conv_bn_pool(batch: Batch) -> Model:
    body = [Conv2D(8, 3, padding="same", use_bias=False), BatchNormalization(), layers.ReLU()]
    body += [layers.AveragePooling2D(2), Conv2D(8, 3, 2), BatchNormalization(), layers.LeakyReLU(0.1)]
    return chain((16, 16, 3), batch, *body, layers.MaxPooling2D(3, 1), Flatten(), Dense(4))


@zoo
def bn_before_conv(batch: Batch) -> Model:
    return chain(
        (12, 12, 3), batch, BatchNormalization(), Conv2D(8, 3), layers.GlobalMaxPooling2D(), Dense(4)
    )


@zoo
def grouped_conv(batch: Batch) -> Model:
    return chain(
        (12, 12, 4), batch, Conv2D(8, 3, groups=2, activation="relu"), layers.GlobalAveragePooling2D()
    )


@zoo
def depthwise_separable(batch: Batch) -> Model:
    body = [
        DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
        DepthwiseConv2D((3, 1), dilation_rate=(2, 1)),
    ]
    return chain(
        (16, 16, 3), batch, *body, layers.SeparableConv2D(8, 3, activation="relu6"), Flatten(), Dense(4)
    )


@zoo
def dilated_conv2d(batch: Batch) -> Model:
    body = [Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu"), Conv2D(8, 3, dilation_rate=3)]
    return chain((16, 16, 3), batch, *body, layers.GlobalAveragePooling2D(), Dense(4))


@zoo
def conv1d_series(batch: Batch) -> Model:
    body = [Conv1D(8, 5, activation="relu"), layers.MaxPooling1D(), Conv1D(8, 3, 2, padding="same")]
    body += [
        BatchNormalization(),
        Activation("relu"),
        layers.AveragePooling1D(2),
        Flatten(),
        Dense(4, "softmax"),
    ]
    return chain((64, 3), batch, *body)


@zoo
def conv1d_global(batch: Batch) -> Model:
    body = [
        layers.SeparableConv1D(8, 3, activation="relu"),
        layers.DepthwiseConv1D(3),
        layers.GlobalMaxPooling1D(),
    ]
    return chain((64, 3), batch, *body, Dense(4))


@zoo
def causal_tcn(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Conv1D(8, 1)(x)
        for dilation in (1, 2, 4):
            y = Conv1D(8, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
            x = layers.Add()([x, y])
        return Dense(4, "softmax")(layers.GlobalAveragePooling1D()(x))

    return mapped((32, 3), batch, net)


@zoo
def wavenet(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Conv1D(6, 1)(x)
        for dilation in (2, 4):
            gates = [
                Conv1D(6, 2, padding="causal", dilation_rate=dilation, activation=name)(x)
                for name in ("tanh", "sigmoid")
            ]
            x = layers.Add()([x, Conv1D(6, 1)(layers.Multiply()(gates))])
        return Dense(4)(layers.GlobalAveragePooling1D()(x))

    return mapped((32, 3), batch, net)


@zoo
def dilated_pyramid(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        parts = [Conv2D(4, 3, padding="same", dilation_rate=rate, activation="relu")(x) for rate in (1, 2, 4)]
        parts.append(layers.SeparableConv2D(4, 3, padding="same", dilation_rate=3)(x))
        return Conv2D(3, 1)(layers.Concatenate()(parts))

    return mapped((16, 16, 3), batch, net)


@zoo
def conv1d_transpose(batch: Batch) -> Model:
    return chain((8, 4), batch, layers.Conv1DTranspose(6, 3, strides=2, padding="same"), Conv1D(2, 3))


@zoo
def conv2d_transpose(batch: Batch) -> Model:
    body = [layers.Conv2DTranspose(6, 3, strides=2, activation="relu"), layers.Conv2DTranspose(2, 2)]
    return chain((6, 6, 4), batch, *body)


@zoo
def upsampling_nearest(batch: Batch) -> Model:
    return chain(
        (6, 6, 4), batch, layers.UpSampling2D(), Conv2D(2, 3, padding="same"), layers.UpSampling2D((3, 2))
    )


@zoo
def upsampling_bilinear(batch: Batch) -> Model:
    return chain(
        (6, 6, 4), batch, layers.UpSampling2D(interpolation="bilinear"), Conv2D(2, 3, padding="same")
    )


@zoo
def upsampling_1d(batch: Batch) -> Model:
    return chain((8, 4), batch, layers.UpSampling1D(2), Conv1D(2, 3, padding="same"))


@zoo
def padding_cropping(batch: Batch) -> Model:
    body = [layers.ZeroPadding2D((1, 2)), Conv2D(4, 3), layers.Cropping2D(((1, 0), (2, 1)))]
    return chain(
        (10, 10, 3), batch, *body, layers.Reshape((9, -1)), layers.ZeroPadding1D(1), layers.Cropping1D(2)
    )


@zoo
def global_pools(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        kept = layers.GlobalMaxPooling2D(keepdims=True)(x)
        return layers.Concatenate()([layers.GlobalAveragePooling2D()(x), Flatten()(kept)])

    return mapped((10, 10, 4), batch, net)


@zoo
def squeeze_excitation(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Conv2D(8, 3, padding="same", activation="relu")(x)
        y = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
        return layers.Multiply()([x, Dense(8, "sigmoid")(Dense(2, "relu")(y))])

    return mapped((8, 8, 3), batch, net)


@zoo
def pixel_shuffle(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = layers.Lambda(lambda y: tf.nn.space_to_depth(y, 2))(x)
        return layers.Lambda(lambda y: tf.nn.depth_to_space(y, 2))(Conv2D(8, 3, padding="same")(x))

    return mapped((8, 8, 3), batch, net)


# Layers that join, and layers that reshape.


@zoo
def merges(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        a, b = Dense(8)(x), Dense(8, "relu")(x)
        joined = [layers.Add()([a, b]), layers.Subtract()([a, b]), layers.Multiply()([a, b])]
        joined += [layers.Average()([a, b]), layers.Maximum()([a, b]), layers.Minimum()([a, b])]
        return layers.Concatenate()(joined)

    return mapped((6,), batch, net)


@zoo
def reshapes(batch: Batch) -> Model:
    body = [
        layers.Reshape((4, 6, 2)),
        layers.Permute((2, 1, 3)),
        layers.Reshape((-1, 8)),
        Dense(3),
        Flatten(),
    ]
    return chain((48,), batch, *body, layers.RepeatVector(3), Dense(2))


@zoo
def dense_3d(batch: Batch) -> Model:
    return chain((5, 6), batch, Dense(8, "relu"), layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"))


@zoo
def einsum(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        return layers.Lambda(lambda two: tf.einsum("bij,bkj->bik", *two))([Dense(8)(x), Dense(8)(x)])

    return mapped((5, 6), batch, net)


@zoo
def lambda_split_stack(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        left, right = layers.Lambda(lambda y: tf.split(y, 2, axis=-1))(Dense(8)(x))
        return layers.Lambda(lambda two: tf.transpose(tf.stack(two, axis=1), (0, 2, 1)))([left, right])

    return mapped((6,), batch, net)


@zoo
def lambda_slices(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        y = layers.Lambda(lambda z: tf.reverse(z[:, 1::2], axis=[1]))(x)
        y = layers.Lambda(lambda z: tf.pad(z, [[0, 0], [1, 1], [0, 0]], "REFLECT"))(y)
        y = layers.Lambda(lambda z: tf.gather(z, [0, 2, 1], axis=2))(y)
        return layers.Lambda(lambda z: tf.tile(tf.expand_dims(z, 1), (1, 2, 1, 1)))(y)

    return mapped((8, 4), batch, net)


@zoo
def lambda_reductions(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        found = [tf.reduce_mean, tf.reduce_sum, tf.reduce_max, tf.reduce_min]
        parts = [layers.Lambda(lambda y, reduce=reduce: reduce(y, axis=1))(x) for reduce in found]
        return layers.Concatenate()(parts)

    return mapped((8, 4), batch, net)


# Sequences.


@zoo
def rnn_unrolled(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.SimpleRNN(8, unroll=True), Dense(3))


@zoo
def rnn_loop(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.SimpleRNN(8), Dense(3))


@zoo
def lstm_unrolled(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.LSTM(8, unroll=True), Dense(3))


@zoo
def lstm_loop(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.LSTM(8), Dense(3))


@zoo
def lstm_fused(batch: Batch) -> Model:
    lstm = tf_keras.layers.LSTM(8, return_sequences=True)
    given = tf_keras.Input((6, 4), batch_size=batch)
    return tf_keras.Model(given, tf_keras.layers.Dense(3)(tf_keras.layers.Flatten()(lstm(given))))


@zoo
def gru_unrolled(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.GRU(8, unroll=True, return_sequences=True), Dense(3))


@zoo
def gru_loop(batch: Batch) -> Model:
    return chain((6, 4), batch, layers.GRU(8), Dense(3))


@zoo
def bidirectional(batch: Batch) -> Model:
    return chain((5, 4), batch, layers.Bidirectional(layers.LSTM(6, unroll=True)), Dense(3))


@zoo
def stacked_lstm(batch: Batch) -> Model:
    lower = layers.LSTM(6, unroll=True, return_sequences=True)
    return chain((5, 4), batch, lower, layers.LSTM(6, unroll=True), Dense(3, "softmax"))


@zoo
def time_distributed(batch: Batch) -> Model:
    inner = [layers.TimeDistributed(Conv2D(4, 3, activation="relu")), layers.TimeDistributed(Flatten())]
    return chain(
        (3, 8, 8, 1), batch, *inner, layers.TimeDistributed(Dense(3)), layers.GlobalAveragePooling1D()
    )


@zoo
def multi_head_attention(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Dense(8)(x)
        return layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])

    return mapped((6, 5), batch, net)


@zoo
def transformer_block(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        x = Dense(8)(x)
        y = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
        z = Dense(8)(Dense(16, "gelu")(y))
        return Dense(3, "softmax")(
            layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.Add()([y, z])))
        )

    return mapped((6, 5), batch, net)


@zoo
def dot_attention(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        scores = layers.Dot(axes=2)([Dense(4)(x), Dense(4)(x)])
        return layers.Dot(axes=(2, 1))([layers.Softmax()(scores), Dense(4)(x)])

    return mapped((6, 5), batch, net)


@zoo
def attention_layer(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        return layers.Attention()([Dense(4)(x), Dense(4)(x)])

    return mapped((6, 5), batch, net)


# Norms and activations.


@zoo
def layer_norm(batch: Batch) -> Model:
    return chain((6, 8), batch, Dense(8), layers.LayerNormalization(), Dense(3))


@zoo
def group_norm(batch: Batch) -> Model:
    return chain(
        (8, 8, 3), batch, Conv2D(8, 3), layers.GroupNormalization(4), layers.GlobalAveragePooling2D()
    )


@zoo
def l2_normalise(batch: Batch) -> Model:
    return chain((8,), batch, Dense(8, "relu"), layers.UnitNormalization())


@zoo
def l2_normalise_tf(batch: Batch) -> Model:
    return chain((8,), batch, Dense(8), layers.Lambda(lambda x: tf.math.l2_normalize(x, axis=-1)))


@zoo
def softmax_axis(batch: Batch) -> Model:
    return chain((6, 5), batch, Dense(4), layers.Softmax(axis=1))


@zoo
def argmax_output(batch: Batch) -> Model:
    return chain((8,), batch, Dense(5), layers.Lambda(lambda x: tf.argmax(x, axis=-1, output_type=tf.int32)))


@zoo
def argmax_int64(batch: Batch) -> Model:
    return chain((8,), batch, Dense(5), layers.Lambda(lambda x: ops.argmax(x, axis=-1)))


def activation(name: str, layer: Callable[[], Any]) -> None:
    """Takes a small model into the zoo with this activation behind a convolution."""

    def build(batch: Batch) -> Model:
        return chain((8, 8, 3), batch, Conv2D(4, 3), layer(), Conv2D(4, 3), Flatten(), Dense(3))

    ZOO[f"act_{name}"] = build


for _name in (
    *("relu", "relu6", "elu", "selu", "gelu", "swish", "hard_swish", "hard_sigmoid", "softplus", "softsign"),
    *("mish", "tanh", "sigmoid", "exponential", "log_softmax", "log_sigmoid", "celu"),
):
    activation(_name, lambda name=_name: Activation(name))
activation("leaky", lambda: layers.LeakyReLU(0.2))
activation("prelu", lambda: layers.PReLU())
activation("prelu_shared", lambda: layers.PReLU(shared_axes=[1, 2]))
activation("gelu_tanh", lambda: layers.Lambda(lambda x: tf.nn.gelu(x, approximate=True)))


@zoo
def unary_maths(batch: Batch) -> Model:
    def net(x: Tensor) -> Tensor:
        found = [tf.abs, tf.square, tf.sin, tf.cos, tf.floor, tf.round, tf.negative, tf.exp]
        found += [lambda y: tf.sqrt(tf.abs(y)), lambda y: tf.math.log(tf.abs(y) + 1.0)]
        return layers.Concatenate()([layers.Lambda(function)(Dense(4)(x)) for function in found])

    return mapped((6,), batch, net)


# Several inputs, outputs and signatures.


@zoo
def two_inputs(batch: Batch) -> Model:
    image = keras.Input((8, 8, 1), batch_size=batch, name="image")
    facts = keras.Input((4,), batch_size=batch, name="facts")
    x = layers.GlobalAveragePooling2D()(Conv2D(4, 3, activation="relu")(image))
    return keras.Model([image, facts], Dense(3)(layers.Concatenate()([x, Dense(4, "relu")(facts)])))


@zoo
def two_outputs(batch: Batch) -> Model:
    given = keras.Input((8, 8, 1), batch_size=batch)
    x = Flatten()(Conv2D(4, 3, activation="relu")(given))
    return keras.Model(given, {"box": Dense(4, name="box")(x), "label": Dense(3, "softmax", name="label")(x)})


@zoo
def two_signatures(batch: Batch) -> Model:
    class Module(tf.Module):
        def __init__(self) -> None:
            random = np.random.default_rng(0)
            self.weights = tf.Variable(random.normal(size=(8, 4)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((batch, 8), tf.float32, name="x")])
        def encode(self, x: Tensor) -> dict[str, Tensor]:
            return {"code": tf.nn.relu(x @ self.weights)}

        @tf.function(input_signature=[tf.TensorSpec((batch, 4), tf.float32, name="code")])
        def decode(self, code: Tensor) -> dict[str, Tensor]:
            return {"x": code @ tf.transpose(self.weights)}

    return Module()


# Of an activation two forms are enough.
FILES = {
    f"{name}_{batch}_{precision}": (name, batch, precision)
    for name in ZOO
    for batch in BATCHES
    for precision in PRECISIONS
    if not name.startswith("act_") or (batch, precision) in (("open", "int8"), ("fixed", "16x8"))
}


def _shake(model: Model) -> None:
    """Gives biases and norms values other than 0 and 1, so that they show."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind != "f" or value.size == 0:
            continue
        if not value.any():
            weight.assign(random.normal(0, 0.2, value.shape))
        elif (value == 1).all():
            weight.assign(random.uniform(0.5, 1.5, value.shape))


def _sample(random: np.random.Generator, spec: Any) -> np.ndarray[Any, Any]:
    shape = [1 if size is None else size for size in spec.shape]
    if tf.as_dtype(spec.dtype).is_integer:
        return random.integers(0, 100, shape).astype(tf.as_dtype(spec.dtype).as_numpy_dtype)
    return random.normal(0, 1, shape).astype(np.float32)


def _converter(model: Model) -> Any:
    random = np.random.default_rng(1)
    if isinstance(model, tf.Module) and not hasattr(model, "inputs"):
        signatures = {"encode": model.encode, "decode": model.decode}
        folder = tempfile.mkdtemp()
        tf.saved_model.save(model, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))

        def by_signature() -> Iterator[Any]:
            for _ in range(CALIBRATION):
                for name, function in signatures.items():
                    spec = function.input_signature[0]
                    yield name, {spec.name: _sample(random, spec)}

        converter.representative_dataset = by_signature
        return converter
    _shake(model)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)

    def representative() -> Iterator[Any]:
        for _ in range(CALIBRATION):
            given = {spec.name: _sample(random, spec) for spec in model.inputs}
            yield given if len(given) > 1 else [*given.values()]

    converter.representative_dataset = representative
    return converter


def convert(model: Model, precision: str) -> bytes:
    """The model as a .tflite that is quantised as a whole; what the converter cannot quantise stays float."""
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    sets = tf.lite.OpsSet
    quantised = {
        "int8": sets.TFLITE_BUILTINS_INT8,
        "16x8": sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }[precision]
    converter.target_spec.supported_ops = [quantised, sets.TFLITE_BUILTINS]
    kind = {"int8": tf.int8, "16x8": tf.int16}[precision]
    converter.inference_input_type = converter.inference_output_type = kind
    return bytes(converter.convert())


def _random(random: np.random.Generator, spec: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Samples for an input of the .tflite: all codes of a quantised one, the words of an embedding."""
    dtype, shape = spec["dtype"], (SAMPLES, *spec["shape"])
    if dtype == np.float32:
        return random.normal(0, 1, shape).astype(dtype)
    low, high = (0, 100) if dtype == np.int32 else (np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
    return random.integers(low, high, shape).astype(dtype)


def _judged(model: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Samples as x0, x1 … and the outputs of TensorFlow Lite's own kernels as y0, y1 …, each [n, *shape].

    There are no outputs where TensorFlow Lite has no kernel for what its converter wrote, as TILE of int16.
    """
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    random = np.random.default_rng(2)
    given = [_random(random, spec) for spec in interpreter.get_input_details()]
    outputs: list[list[Any]] = []
    for number in range(SAMPLES):
        interpreter.reset_all_variables()
        for spec, values in zip(interpreter.get_input_details(), given, strict=True):
            interpreter.set_tensor(spec["index"], values[number])
        try:
            interpreter.invoke()
        except RuntimeError:
            break
        outputs.append([interpreter.get_tensor(spec["index"]) for spec in interpreter.get_output_details()])
    made = {f"x{i}": values for i, values in enumerate(given)}
    return made | {f"y{i}": np.stack(values) for i, values in enumerate(zip(*outputs, strict=True))}


def write(folder: Path, file: str) -> None:
    """One of FILES: the .tflite comes last, and nothing half-written has its name."""
    name, batch, precision = FILES[file]
    keras.utils.set_random_seed(zlib.crc32(name.encode()))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            made, path = convert(ZOO[name](BATCHES[batch]), precision), folder / f"{file}.tflite"
    except Exception as error:
        made, path = f"{type(error).__name__}: {error}".encode(), folder / f"{file}.refused"
    keras.backend.clear_session()
    part = folder / f"part{os.getpid()}.npz"
    if path.suffix == ".tflite":
        np.savez(part, **_judged(made))
        part.rename(folder / f"{file}.npz")
    part.write_bytes(made)
    part.rename(path)


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        write(Path(sys.argv[1]), line.strip())
        print(line.strip(), flush=True)
