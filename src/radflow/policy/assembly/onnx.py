"""The weights and nodes of an ONNX file, read without the package onnx, which nothing else here needs.

The file is one protocol-buffer message (``onnx.proto3``; encoding: protobuf.dev/programming-guides/encoding):
fields are read by their numbers, and those that are not asked for are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5
_TENSOR = 5
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_TYPES = {1: np.dtype("<f4"), 7: np.dtype("<i8"), 10: np.dtype("<f2")}


@dataclass(frozen=True)
class Node:
    """One operation."""

    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]


@dataclass(frozen=True)
class Graph:
    """A network: its constants by name, and what is done with them."""

    arrays: Mapping[str, np.ndarray]
    nodes: Sequence[Node]


def read_graph(content: bytes) -> Graph:
    """Constants that are stored raw as float32, float16 or int64, and all nodes.

    Raises:
        ValueError: this is no ONNX file, or not a whole one.
    """
    arrays: dict[str, np.ndarray] = {}
    nodes = []
    for number, graph in _fields(memoryview(content)):
        for kind, part in _fields(_message(graph)) if number == _GRAPH else ():
            if kind == _INITIALIZER:
                name, array = _tensor(_message(part))
                arrays |= {} if array is None else {name: array}
            elif kind == _NODE:
                node, constant = _node(_message(part))
                nodes.append(node)
                arrays |= {} if constant is None else {node.outputs[0]: constant}
    return Graph(arrays, nodes)


def _node(content: memoryview) -> tuple[Node, np.ndarray | None]:
    operator, inputs, outputs, constant = "", [], [], None
    for number, value in _fields(content):
        if number in (_INPUT, _OUTPUT):
            (inputs if number == _INPUT else outputs).append(_text(value))
        elif number == _OPERATOR:
            operator = _text(value)
        elif number == _ATTRIBUTE:
            tensors = [_message(v) for n, v in _fields(_message(value)) if n == _TENSOR]
            constant = _tensor(tensors[0])[1] if tensors else constant
    return Node(operator, inputs, outputs), constant if operator == "Constant" else None


def _tensor(content: memoryview) -> tuple[str, np.ndarray | None]:
    sizes, kind, name, raw = [], 0, "", memoryview(b"")
    for number, value in _fields(content):
        if number == _DIMS:
            sizes += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _NAME:
            name = _text(value)
        elif number == _RAW:
            raw = _message(value)
    if kind not in _TYPES or not raw:
        return name, None
    return name, np.frombuffer(raw, _TYPES[kind]).reshape(sizes).copy()


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; numbers are integers, all else is bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        size, at = _varint(content, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if size < 0 or at + size > len(content):
            raise ValueError("expected an ONNX file, got something else, or a part of one")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("expected an ONNX file, got something else, or a part of one")


def _varints(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("expected an ONNX file, got something else")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8")
