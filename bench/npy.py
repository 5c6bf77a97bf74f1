# SPDX-License-Identifier: Apache-2.0
"""Logits from .npy files, and probabilities into them."""

import numpy

from replacement import Unusable

DTYPES = {2: "f16", 4: "f32", 8: "f64"}  # by bytes an element


def read_logits(path):
    """An array of floats in C order, with at least one axis and one element."""
    try:
        with open(path, "rb") as file:
            array = numpy.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise Unusable(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # what a damaged header raises is not documented
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Unusable(f"{path} is not a readable .npy file: {reason}") from error
    if array.dtype.kind != "f" or array.dtype.itemsize not in DTYPES:
        raise Unusable(f"{path} holds {array.dtype}; float32, float64 or float16 is needed")
    if array.ndim == 0:
        raise Unusable(f"{path} holds a single number; at least one axis is needed")
    if array.size == 0:
        raise Unusable(f"{path} holds no elements (shape {array.shape})")
    if not array.flags.c_contiguous:
        raise Unusable(f"{path} is in Fortran order; C order is needed")
    return array


def dtype_name(array):
    return DTYPES[array.dtype.itemsize]


def rows_and_columns(array):
    return array.size // array.shape[-1], array.shape[-1]


def write_raw(array, path):
    """The bare elements, in the byte order of this machine."""
    array.astype(array.dtype.newbyteorder("=")).tofile(path)


def raw_to_npy(raw_path, like, file):
    """The elements of a raw file as .npy of the dtype and shape of the array `like`."""
    array = numpy.fromfile(raw_path, dtype=like.dtype.newbyteorder("="))
    numpy.lib.format.write_array(file, array.astype(like.dtype).reshape(like.shape), allow_pickle=False)
