"""Everything that can be saved comes back, and nothing else is read: not damaged, not impossible."""

import dataclasses
import io
import zipfile
import zlib

import jax.numpy as jnp
import numpy as np
import pytest
from damage import damaged, edited, header_of, members_of, npy, same, survives, zipped
from saved_things import detector, everything, fit_of, mixture_of

import mixjax
from mixjax.files import read_arrays, write_arrays
from mixjax.files.savable import FIELDS
from mixjax.files.saving import classes

EVERYTHING = everything()


def leaves_of(tree):
    """Of what is not a pytree, too."""
    return {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}


@pytest.mark.parametrize("name", EVERYTHING)
def test_it_comes_back_bit_for_bit(tmp_path, name):
    tree, path = EVERYTHING[name], tmp_path / "saved.npz"
    mixjax.save(path, tree)
    again = mixjax.load(path)
    if name == "selection":
        again, tree = leaves_of(again), leaves_of(tree)
    assert same(again, tree)


def test_every_field_of_every_class_has_its_rule():
    for kind, rules in FIELDS.items():
        names = getattr(kind, "_fields", None) or [f.name for f in dataclasses.fields(kind)]
        assert sorted(rules) == sorted(names), kind
    assert set(FIELDS) <= set(classes().values())


def changed(tree, path, value):
    """The tree with another value at a path of fields and numbers."""
    name, *rest = path
    old = tree[name] if isinstance(name, int) else getattr(tree, name)
    new = changed(old, rest, value) if rest else value(old) if callable(value) else value
    if isinstance(name, int):
        return (*tree[:name], new, *tree[name + 1 :])
    if isinstance(tree, mixjax.selection.candidates.Candidate):
        return tree._replace(**{name: new})
    return dataclasses.replace(tree, **{name: new})


def at(index, value):
    return lambda old: jnp.asarray(old).at[index].set(value)


FIT, SPREAD, LAPLACE = (
    fit_of(family) for family in (mixjax.Gaussian, mixjax.DiagonalGaussian, mixjax.Laplace)
)
TIED, ROUND, DETECTOR = (
    mixture_of(mixjax.TiedGaussian), mixture_of(mixjax.SphericalGaussian), detector(),
)  # fmt: skip
TAIL, BEST, ELKAN, STEPS = (EVERYTHING[k] for k in ("peaks", "best_f1", "elkan_noto", "stepwise"))
IMPOSSIBLE = [
    (FIT, "mixture.log_weights", at(0, jnp.nan)),
    (FIT, "mixture.log_weights", at(0, 0.5)),
    (FIT, "mixture.log_weights", at(0, -9.0)),
    (FIT, "mixture.log_weights", jnp.full(2, -jnp.inf)),
    (FIT, "mixture.log_weights", jnp.zeros(2, jnp.int32)),
    (FIT, "mixture.log_weights", jnp.zeros(2, jnp.complex64)),
    (FIT, "mixture.log_weights", "words"),
    (FIT, "mixture.components.means", at((0, 1), jnp.nan)),
    (FIT, "mixture.components.means", at((0, 1), jnp.inf)),
    (FIT, "mixture.components.factors", jnp.zeros((2, 4, 4))),
    (FIT, "mixture.components.means", jnp.zeros((2, 3), jnp.int32)),
    (FIT, "mixture.components.factors", at((0, 0, 2), 0.1)),
    (FIT, "mixture.components.factors", at((1, 1, 1), -0.5)),
    (FIT, "mixture.components.factors", at((1, 1, 1), 0.0)),
    (FIT, "mixture.components.factors", at((1, 2, 0), jnp.nan)),
    (FIT, "mixture.components", "words"),
    (FIT, "energy", jnp.asarray(jnp.nan)),
    (FIT, "energy", "words"),
    (FIT, "energy", jnp.zeros(3)),
    (FIT, "n_iter", jnp.asarray(-1)),
    (FIT, "n_iter", jnp.asarray(1.5)),
    (FIT, "status", jnp.asarray(5)),
    (FIT, "status", jnp.asarray(-1)),
    (FIT, "status", jnp.asarray(False)),
    (SPREAD, "mixture.components.scales", at((0, 1), -1.0)),
    (SPREAD, "mixture.components.scales", at((0, 1), 0.0)),
    (LAPLACE, "mixture.components.scales", at((0, 1), jnp.nan)),
    (LAPLACE, "mixture.components.locations", at((0, 1), -jnp.inf)),
    (TIED, "components.factor", at((0, 1), 1.0)),
    (TIED, "components.factor", at((2, 2), -1.0)),
    (ROUND, "components.scales", at(1, jnp.inf)),
    (STEPS, "ridge", at(1, -1e-6)),
    (STEPS, "scale", at(1, 0.0)),
    (STEPS, "shift", jnp.zeros(2)),
    (STEPS, "scaled.components.means", at((0, 0), jnp.nan)),
    (DETECTOR, "threshold", jnp.asarray(jnp.nan)),
    (DETECTOR, "center", at(0, jnp.nan)),
    (DETECTOR, "scale", at(0, 0.0)),
    (DETECTOR, "scale", at(0, -1.0)),
    (DETECTOR, "typical", jnp.zeros(2)),
    (DETECTOR, "held_out", at(0, jnp.nan)),
    (DETECTOR, "held_out", jnp.zeros(3)),
    (DETECTOR, "rule.alpha", jnp.asarray(1.5)),
    (DETECTOR, "rule.calibration", lambda old: old[::-1]),
    (DETECTOR, "rule.calibration", at(3, jnp.nan)),
    (DETECTOR, "members.0.calibration.energies", lambda old: old[::-1]),
    (DETECTOR, "members.0.calibration.scale", jnp.asarray(-0.5)),
    (DETECTOR, "members.0.calibration.shape", jnp.asarray(1.5)),
    (DETECTOR, "members.0.mixtures.log_weights", at((1, 0), jnp.nan)),
    (DETECTOR, "members", ()),
    (DETECTOR, "columns", (3, 0, 0)),
    (DETECTOR, "columns", (4, 0, 1)),
    (DETECTOR, "columns", (-1, 0, 1)),
    (DETECTOR, "columns", (1.0, 0, 2)),
    (DETECTOR, "feature_names", ("a", "b", 3, "d")),
    (DETECTOR, "feature_names", "abcd"),
    (DETECTOR, "candidates.0.n_components", 0),
    (DETECTOR, "candidates.0.n_components", True),
    (DETECTOR, "candidates.1.ridge", -1.0),
    (DETECTOR, "candidates.1.family", "Gaussian"),
    (TAIL, "scale", jnp.asarray(-1.0)),
    (TAIL, "share", jnp.asarray(2.0)),
    (TAIL, "risk", jnp.asarray(-0.1)),
    (TAIL, "shape", jnp.asarray(jnp.nan)),
    (BEST, "f1", jnp.asarray(1.5)),
    (BEST, "threshold", jnp.asarray(jnp.nan)),
    (ELKAN, "c", jnp.asarray(0.0)),
]


@pytest.mark.parametrize(
    ("tree", "place", "value"), IMPOSSIBLE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_cannot_be_is_neither_saved_nor_loaded(tmp_path, monkeypatch, tree, place, value):
    path = [int(part) if part.isdigit() else part for part in place.split(".")]
    bad, file = changed(tree, path, value), tmp_path / "bad.npz"
    field = str(path[-1])
    with pytest.raises(ValueError, match=field):
        mixjax.save(file, bad)
    assert not file.exists()
    monkeypatch.setattr("mixjax.files.saving.require_valid", lambda tree: None)
    mixjax.save(file, bad)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=rf"bad.npz.*{field}"):
        mixjax.load(file)


def test_versions_are_whole_numbers(tmp_path):
    path = tmp_path / "m.npz"
    mixjax.save(path, TIED)
    header, arrays = read_arrays(path, "mixjax", 1)
    for version in (True, 1.0, "1", None, [1]):
        write_arrays(path, header | {"version": version}, arrays)
        with pytest.raises(ValueError, match="version"):
            mixjax.load(path)


def claiming(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": "<f8"}
    )
    return file.getvalue() + b"12 bytes one"


def test_what_a_header_claims_is_not_believed(tmp_path):
    path = tmp_path / "m.npz"
    mixjax.save(path, TIED)
    whole = members_of(path)
    bomb = npy(np.zeros(30_000_000, np.float32))
    deep = '{"format": "mixjax", "version": 1, "tree": ' + 100_000 * "[" + 100_000 * "]" + "}"
    nested = deep.replace(100_000 * "[", 900 * "[").replace(100_000 * "]", 900 * "]")
    cases = {
        "bomb": (whole | {".log_weights.npy": bomb}, "would unpack to 120,0"),
        "80 TB": (whole | {".log_weights.npy": claiming((10**13,))}, "80,000,000,000,000 bytes, but there are"),
        "negative": (whole | {".log_weights.npy": claiming((-1, 2))}, "the shape"),
        "pickle": (whole | {".log_weights.npy": npy(np.array([None]))}, "pickle"),
        "deep": (whole | {"header.npy": header_of(deep)}, "recursion"),
        "nested": (whole | {"header.npy": header_of(nested)}, "m.npz"),
        "no text": (whole | {"header.npy": npy(np.full(9, 255, np.uint8))}, "decode"),
        "a list": (whole | {"header.npy": header_of("[1]")}, "not a whole"),
        "no tree": (whole | {"header.npy": header_of('{"format": "mixjax", "version": 1}')}, "tree"),
        "a word": (whole | {"word.txt": b"word"}, "not an array"),
    }  # fmt: skip
    for name, (members, text) in cases.items():
        packed = zipfile.ZIP_DEFLATED if name == "bomb" else zipfile.ZIP_STORED
        path.write_bytes(zipped(members, packed))
        with pytest.raises(ValueError, match=text):
            mixjax.load(path)
    path.write_bytes(zipped(whole, zipfile.ZIP_DEFLATED))
    assert same(mixjax.load(path), TIED)
    encrypted = bytearray(zipped(whole))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(ValueError, match="encrypted"):
        mixjax.load(path)


def test_what_cannot_be_opened_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        mixjax.load(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        mixjax.load(tmp_path)
    with pytest.raises(TypeError, match="Python objects"):
        mixjax.save(tmp_path / "o.npz", (np.array(["a", None], object), TIED))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fits of Gaussian", "detector", "selection", "best_f1"])
def test_damaged_files_are_refused(tmp_path, name):
    rng, path = np.random.default_rng(zlib.crc32(name.encode())), tmp_path / "saved.npz"
    mixjax.save(path, EVERYTHING[name])
    content, members = path.read_bytes(), members_of(path)
    other = zipped(members)[::-1]
    for _ in range(60):
        bad = damaged(rng, content, other)
        if survives(path, bad, mixjax.load) and name != "selection":
            assert same(mixjax.load(path), EVERYTHING[name])
        survives(path, edited(rng, members), mixjax.load)
