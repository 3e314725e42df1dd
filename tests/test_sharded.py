"""Rows spread over devices: the fit of one device, and one all-reduce."""

import subprocess

from launch import environment, program

ONE_PROCESS = """
    dtype, bound = "float64", 1e-10
    jax.config.update("jax_enable_x64", True)
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("hosts", "cores"))
    x = table(4000, dtype)
    weights = np.random.default_rng(1).uniform(0.1, 2, 4000).astype(dtype)
    weights[5] = 0
    key, options = jax.random.key(0), {"tol": 0.0, "max_iter": 5}
    both = P(("hosts", "cores"), None)
    for spec, family, w in (
        (both, mixjax.Gaussian, weights),
        (P("hosts"), mixjax.TiedGaussian, None),
        (both, mixjax.DiagonalGaussian, None),
    ):
        xs = jax.device_put(x, NamedSharding(mesh, spec))
        spread = mixjax.fit(key, xs, 2, family=family, weights=w, **options)
        alone = mixjax.fit(key, x, 2, family=family, weights=w, **options)
        assert far(spread, alone) < bound, (family, spec, far(spread, alone))
    holes = np.random.default_rng(2).random(x.shape) < 0.2
    holed = mixjax.Observed(np.where(holes, np.nan, x))
    there = mixjax.Observed(jax.device_put(holed.x, NamedSharding(mesh, both)))
    for known in (None, np.where(np.arange(4000) % 7 == 0, np.arange(4000) % 2, -1)):
        spread = mixjax.fit(key, there, 2, labels=known, **options)
        one = mixjax.fit(key, holed, 2, labels=known, **options)
        assert far(spread, one) < 1e-6, far(spread, one)
    begin = alone.mixture
    fits, energies = mixjax.fit_history(begin, xs, tol=0.0, max_iter=3)
    expected = mixjax.fit_history(begin, x, tol=0.0, max_iter=3)
    assert far((fits, energies), expected) < bound
    assert far(mixjax.energy(begin, xs), mixjax.energy(begin, x)) < bound
    r = mixjax.responsibilities(begin, xs)
    assert far(r, mixjax.responsibilities(begin, x)) < 10 * bound
    assert r.sharding.spec[0] == spec[0]
    restarts = {"n_init": 2, "start": mixjax.random_responsibilities, **options}
    best, alone = mixjax.fit(key, xs, 2, **restarts), mixjax.fit(key, x, 2, **restarts)
    assert far(best, alone) < 10 * bound
    laplace = [mixjax.fit(key, xs, 2, family=mixjax.Laplace, tol=0.0, max_iter=n) for n in (0, 9)]
    assert laplace[1].energy < laplace[0].energy

    # A stream, whose blocks the devices take in turn.
    from mixjax.streaming import stream
    stream.BLOCK = 900
    for batches, where in (([x[:1500], x[1500:]], mesh), ([xs, xs[:8]], None)):
        rows = np.concatenate([np.asarray(batch) for batch in batches])
        alone = mixjax.fit(key, rows, 2, **options)
        streamed = mixjax.fit_stream(key, batches, 2, mesh=where, **options)
        assert far(streamed, alone) < bound, (len(rows), where, streamed.energy, alone.energy)

    # What goes between devices, in the compiled text.
    from mixjax.fitting.on_mesh import _fit_shards_from
    from mixjax.rows.sharded import _on_host, _reduced, row_mesh

    def between_devices(n):
        xs = jax.device_put(table(n, dtype), NamedSharding(mesh, P(("hosts", "cores"))))
        leaves, structure = _on_host((begin, mixjax.EM(), 0.0, 5))
        program = _reduced(_fit_shards_from, 0, row_mesh(xs), structure)
        text = program.lower(leaves, xs, None).compile().as_text()
        blocks = re.split(r"\\n(?=%|ENTRY)", text)
        named = {re.match(r"(?:ENTRY )?(%[\\w.\\-]+)", b).group(1): b for b in blocks if re.match(r"(?:ENTRY )?%", b)}

        def reached(name):
            found = {name}
            for other in re.findall(r"(?:body|condition|calls|to_apply)=(%[\\w.\\-]+)", named[name]):
                found |= reached(other)
            return found

        verbs = "all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
        assert not re.search(rf"= \\S+ ({verbs})", text)
        sizes = {}
        for name in named:
            for body in re.findall(r"while\\(.*body=(%[\\w.\\-]+)", named[name]):
                inside = "".join(named[other] for other in reached(body))
                shapes = re.findall(r"= \\w+\\[([\\d,]*)\\]\\S* all-reduce", inside)
                if shapes:
                    sizes[body] = [int(np.prod([int(v) for v in s.split(",") if v])) for s in shapes]
        return list(sizes.values())

    k, d = begin.n_components, begin.n_features
    family = type(begin.components)
    statistics = jax.tree.leaves(jax.eval_shape(begin.components.statistics, x[:2], np.ones((2, k), dtype)))
    one = 1 + sum(leaf.size for leaf in statistics)  # and the energy
    for n in (800, 8000):
        # One in the two rounds of the scale, and one in an iteration.
        assert sorted(between_devices(n)) == [[d], [one]], (between_devices(n), one)

    for bad, error, word in (
        (P(None, "hosts"), ValueError, "keep its columns together"),
    ):
        try:
            mixjax.fit(key, jax.device_put(np.ones((8, 4), dtype), NamedSharding(mesh, bad)), 2)
        except error as caught:
            assert word in str(caught), caught
        else:
            raise AssertionError("not refused")
    import optax
    try:
        mixjax.fit(key, xs, 2, solver=mixjax.Gradient(optax.adam(1e-2)))
    except TypeError as caught:
        assert "only mixjax.EM can fit" in str(caught)
    else:
        raise AssertionError("not refused")
    same = mixjax.fit(key, jax.device_put(x, NamedSharding(mesh, P())), 2, max_iter=1)
    assert far(same, mixjax.fit(key, x, 2, max_iter=1)) < bound
    nan = x.copy()
    nan[3900, 1] = np.nan
    status = mixjax.fit(key, jax.device_put(nan, NamedSharding(mesh, P("hosts"))), 2).status
    assert status == mixjax.Status.NONFINITE
"""

EXPLICIT = """
    x, w = table(320, "float32"), np.linspace(0, 1, 320, dtype="float32")
    key, resp = jax.random.key(0), np.eye(2, dtype="float32")[np.arange(320) % 2]
    options = {"weights": w, "tol": 0.0, "max_iter": 5}
    alone = mixjax.fit(key, x, 2, **options)
    for n, spec in ((1, P("rows")), (1, P()), (4, P()), (4, P("rows"))):
        mesh = jax.make_mesh((n,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
        xs, ws = (jax.device_put(a, NamedSharding(mesh, spec)) for a in (x, w))
        assert far(mixjax.fit(key, xs, 2, **{**options, "weights": ws}), alone) < 1e-5, (n, spec)
        again = mixjax.fit_from(alone.mixture, xs, max_iter=2)
        assert far(again, mixjax.fit_from(alone.mixture, x, max_iter=2)) < 1e-5, (n, spec)
        made = mixjax.m_step(mixjax.Gaussian, xs, resp, weights=ws)
        assert far(made, mixjax.m_step(mixjax.Gaussian, x, resp, weights=w)) < 1e-5, (n, spec)
        assert far(mixjax.energy(made, xs), mixjax.energy(made, x)) < 1e-5, (n, spec)
"""


def test_a_mesh_with_explicit_axes_as_make_mesh_makes_it():
    command = program(EXPLICIT)
    subprocess.run(command, check=True, env=environment(4))


def test_eight_devices_give_what_one_gives():
    """In double precision, where it can be asked to ten digits; a mesh of four uses single."""
    command = program(ONE_PROCESS)
    done = subprocess.run(command, env=environment(8), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
