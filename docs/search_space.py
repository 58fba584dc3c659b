"""A space for `tinydeploy search`: classifiers of 8×8 images, of one or two blocks; see search.md."""

import keras
from keras import layers


def build(trial):
    """A candidate: an untrained Keras model, whose choices are made by `trial`."""
    x = inputs = keras.Input((8, 8, 1))
    for block in range(trial.suggest_int("blocks", 1, 2)):
        width = trial.suggest_int(f"width{block}", 4, 24, step=4)
        if trial.suggest_categorical(f"kind{block}", ["plain", "separable"]) == "plain":
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        else:
            x = layers.Conv2D(width, 1, use_bias=False)(x)
            x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
