"""Files that were damaged, or whose arrays or header were changed."""

import io
import json
import zipfile

import jax
import numpy as np


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def header_of(text):
    return npy(np.frombuffer(text.encode(), np.uint8))


def damaged(rng, content, other):
    """One of the ways in which a file is damaged."""
    data = bytearray(content)
    place = int(rng.integers(len(data)))
    match int(rng.integers(6)):
        case 0:
            data[place] ^= 1 << int(rng.integers(8))
        case 1:
            for i in rng.integers(len(data), size=8):
                data[i] = int(rng.integers(256))
        case 2:
            del data[place:]
        case 3:
            del data[place : place + int(rng.integers(1, 64))]
        case 4:
            data[place:place] = rng.bytes(int(rng.integers(1, 64)))
        case 5:
            end = place + int(rng.integers(1, 400))
            data[place:end] = other[place:end]
    return bytes(data)


def edited(rng, members):
    """A whole archive in which the header or members were changed."""
    members = dict(members)
    names = list(members)
    one, two = (names[int(i)] for i in rng.integers(len(names), size=2))
    match int(rng.integers(4)):
        case 0:
            members[one], members[two] = members[two], members[one]
        case 1:
            del members[one]
        case 2:
            text = bytearray(np.load(io.BytesIO(members["header.npy"])).tobytes())
            text[int(rng.integers(len(text)))] = int(rng.integers(32, 127))
            members["header.npy"] = npy(np.frombuffer(bytes(text), np.uint8))
        case 3:
            header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
            members["header.npy"] = header_of(json.dumps(mutated(rng, header)))
    return zipped(members)


def mutated(rng, value):
    """JSON in which one thing, somewhere, is another."""
    others = [None, True, -1, 1e400, 2**70, "words", [], {}, [[]], "Gaussian", 0, "array"]
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = keys[int(rng.integers(len(keys)))]
        new = mutated(rng, value[key])
        if isinstance(value, dict):
            return {**value, key: new}
        return [*value[:key], new, *value[key + 1 :]]
    return others[int(rng.integers(len(others)))]


def survives(path, content, load):
    """Whether a damaged file was refused, or is still what it was."""
    path.write_bytes(content)
    try:
        load(path)
    except ValueError as error:
        message = str(error)
    else:
        return True
    assert path.name in message
    return False


def same(a, b):
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        type(x) is type(y)
        and getattr(x, "dtype", None) == getattr(y, "dtype", None)
        and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in pairs
    )
