"""The time to the first answer: what a call traces, compiles and runs, in a process of its own.

Seconds depend on the machine, so they are also given in *floors*: what the smallest EM in JAX, a
dozen lines without a start, a check or a scale, takes to trace and to compile in the same process.
The numbers of programs and of their instructions do not depend on the machine.

    python benchmarks/first_call.py                    # all calls, with and without a cache
    python benchmarks/first_call.py --only fit vmap    # the calls whose names contain a word
    python benchmarks/first_call.py --check            # counts only, against first_call.json
    python benchmarks/first_call.py --record           # write first_call.json
    python benchmarks/first_call.py --smoke            # two calls, counts only
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECORDED = Path(__file__).with_suffix(".json")
# A call may take this many times the recorded programs and instructions.
ROOM = 1.1
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}


def floor():
    """Seconds to trace, lower and compile the smallest EM."""
    import jax
    import jax.numpy as jnp

    x, k, d = jnp.ones((1000, 4)), 3, 4

    def em(x, weights, means, covariances, tol, limit):
        def step(state):
            weights, means, covariances, energy, _, i = state
            factors = jnp.linalg.cholesky(covariances + 1e-6 * jnp.eye(d))

            def whitened(mean, factor):
                return jax.scipy.linalg.solve_triangular(factor, (x - mean).T, lower=True)

            y = jax.vmap(whitened)(means, factors)
            log_det = jnp.log(jnp.diagonal(factors, axis1=1, axis2=2)).sum(1)
            constant = jnp.log(weights) - log_det - 0.5 * d * jnp.log(2 * jnp.pi)
            joint = constant[:, None] - 0.5 * (y**2).sum(1)
            log_prob = jax.scipy.special.logsumexp(joint, 0)
            resp = jnp.exp(joint - log_prob)
            count = resp.sum(1)
            means = (resp @ x) / count[:, None]
            second = jnp.einsum("kn,nd,ne->kde", resp, x, x) / count[:, None, None]
            covariances = second - means[:, :, None] * means[:, None, :]
            new = -log_prob.mean()
            return count / len(x), means, covariances, new, jnp.abs(new - energy), i + 1

        start = (weights, means, covariances, jnp.inf, jnp.inf, 0)
        return jax.lax.while_loop(lambda s: (s[4] > tol) & (s[5] < limit), step, start)

    eye = jnp.broadcast_to(jnp.eye(d), (k, d, d))
    began = time.perf_counter()
    jax.jit(em).lower(x, jnp.ones(k) / k, x[:k], eye, 1e-3, 100).compile()
    return time.perf_counter() - began


def rows(n=1000, d=4, seed=0):
    """Three clusters of rows."""
    import numpy as np

    rng = np.random.default_rng(seed)
    centers = 4 * rng.normal(size=(3, d))
    return (centers[rng.integers(3, size=n)] + rng.normal(size=(n, d))).astype("float32")


def fit_of(family):
    def calls(mixjax, jax):
        key, kind = jax.random.key(0), getattr(mixjax, family)
        yield "first", lambda: mixjax.fit(key, rows(), 3, family=kind)
        yield "other N", lambda: mixjax.fit(key, rows(999), 3, family=kind)

    return calls


def mixture_of(mixjax):
    import numpy as np

    eye = np.broadcast_to(np.eye(4, dtype="float32"), (3, 4, 4))
    return mixjax.Mixture(np.zeros(3, "float32"), mixjax.Gaussian(rows()[:3], eye))


def fit_from(mixjax, jax):
    begin = mixture_of(mixjax)
    yield "first", lambda: mixjax.fit_from(begin, rows())
    yield "other N", lambda: mixjax.fit_from(begin, rows(999))


def energy(mixjax, jax):
    begin = mixture_of(mixjax)
    yield "first", lambda: mixjax.energy(begin, rows())
    yield "other N", lambda: mixjax.energy(begin, rows(999))


def m_step(mixjax, jax):
    import numpy as np

    resp = np.random.default_rng(0).dirichlet(np.ones(3), 1000).astype("float32")
    yield "first", lambda: mixjax.m_step(mixjax.Gaussian, rows(), resp)
    yield "other N", lambda: mixjax.m_step(mixjax.Gaussian, rows(999), resp[:999])


def gradient(mixjax, jax):
    import jax.numpy as jnp
    import numpy as np

    def loss(x, logits):
        mixture = mixjax.m_step(mixjax.Gaussian, x, jax.nn.softmax(logits))
        return jnp.mean(mixjax.energy(mixture, x))

    step = jax.jit(jax.grad(loss, argnums=(0, 1)))
    x, logits = rows(), np.zeros((1000, 3), "float32")
    yield "first", lambda: step(x, logits)


def vmap_fit(mixjax, jax):
    import numpy as np

    keys, xs = jax.random.split(jax.random.key(0), 20), np.stack([rows(200)] * 20)
    run = jax.jit(jax.vmap(lambda key, x: mixjax.fit(key, x, 3)))
    yield "first", lambda: run(keys, xs)


def fit_batch(mixjax, jax):
    import numpy as np

    xs = np.stack([rows(200, seed=i) for i in range(100)])
    yield "first", lambda: mixjax.fit_batch(jax.random.key(0), xs, 3)
    yield "again", lambda: mixjax.fit_batch(jax.random.key(1), xs, 3)


def fit_groups(mixjax, jax):
    import numpy as np

    lengths = np.random.default_rng(0).integers(20, 400, 300)
    groups = np.repeat(np.arange(300), lengths)
    x = rows(len(groups))
    yield "first", lambda: mixjax.fit_groups(jax.random.key(0), x, groups, 3)
    yield "again", lambda: mixjax.fit_groups(jax.random.key(1), x, groups, 3)


def components_in_a_loop(mixjax, jax):
    def loop():
        fits = [mixjax.fit(jax.random.key(0), rows(), k) for k in range(1, 17)]
        return [mixjax.bic(fit.mixture, rows()) for fit in fits]

    yield "first", loop
    yield "again", loop


def select(mixjax, jax):
    yield "first", lambda: mixjax.select(jax.random.key(0), rows())
    yield "again", lambda: mixjax.select(jax.random.key(1), rows(seed=1))


def detect(mixjax, jax):
    yield "first", lambda: mixjax.detect.fit(jax.random.key(0), rows())
    yield "another table", lambda: mixjax.detect.fit(jax.random.key(1), rows(950, seed=1))


def predict(mixjax, jax):
    fitted = mixjax.detect.fit(jax.random.key(0), rows(), n_components=[3])
    yield "1 row", lambda: fitted.predict(rows(1))
    for n in (2, 3, 700, 1000):
        yield f"{n} rows", lambda n=n: fitted.predict(rows(n))


FAMILIES = (
    "Gaussian", "TiedGaussian", "DiagonalGaussian", "SphericalGaussian", "Laplace", "MeanLaplace"
)  # fmt: skip
CALLS = {
    **{f"fit, {family}": fit_of(family) for family in FAMILIES},
    "fit_from": fit_from,
    "energy": energy,
    "m_step": m_step,
    "gradient of m_step + energy": gradient,
    "vmap(fit)": vmap_fit,
    "fit_batch": fit_batch,
    "fit_groups": fit_groups,
    "fit, K = 1 to 16": components_in_a_loop,
    "select": select,
    "detect.fit": detect,
    "detector.predict": predict,
}
SMOKE = ("fit, Gaussian", "energy")


def measure(name):
    """The seconds of each part of a call, in this process."""
    began = time.perf_counter()
    import jax

    import mixjax

    imported = time.perf_counter() - began
    spent = dict.fromkeys(EVENTS.values(), 0.0)
    counts = {"programs": 0}

    def heard(event, seconds, **_):
        if event in EVENTS:
            spent[EVENTS[event]] += seconds
            counts["programs"] += EVENTS[event] == "compile"

    jax.block_until_ready(jax.jit(lambda x: x + 1)(jax.numpy.zeros(3)))
    unit = None if os.environ.get("MIXJAX_COUNTS") else floor()
    jax.monitoring.register_event_duration_secs_listener(heard)
    parts = {}
    for label, call in CALLS[name](mixjax, jax):
        spent.update(dict.fromkeys(spent, 0.0))
        counts["programs"] = 0
        began = time.perf_counter()
        jax.block_until_ready(call())
        parts[label] = {"seconds": time.perf_counter() - began, **spent, **counts}
    return {"import": imported, "floor": unit, "calls": parts}


def in_a_process(name, **environment):
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, "--measure", name]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def counted(name):
    """Programs, and instructions of optimized HLO, of all calls of a name."""
    with tempfile.TemporaryDirectory() as folder:
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={folder} --xla_dump_hlo_as_text"
        result = in_a_process(
            name, XLA_FLAGS=flags, MIXJAX_COUNTS="1", JAX_ENABLE_COMPILATION_CACHE="false"
        )
        texts = [path.read_text() for path in Path(folder).glob("*after_optimizations.txt")]
    lines = sum(len(re.findall(r"^\s+(?:ROOT )?%?\S+ = ", text, re.MULTILINE)) for text in texts)
    programs = sum(part["programs"] for part in result["calls"].values())
    return {"programs": programs, "instructions": lines}


def each(f, names):
    """``f`` of each name, two at a time: what is counted does not depend on the time."""
    with ThreadPoolExecutor(2) as threads:
        yield from threads.map(f, names)


def table(names, repeats):
    """Print what each call takes, cold and with what an earlier process compiled."""
    print(
        "| call | | seconds | floors | trace | lower | compile | programs | warm cache, s |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in names:
        off = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
        cold = [in_a_process(name, **off) for _ in range(repeats)]
        with tempfile.TemporaryDirectory() as folder:
            kept = {
                "JAX_ENABLE_COMPILATION_CACHE": "true",
                "JAX_COMPILATION_CACHE_DIR": folder,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            }
            in_a_process(name, **kept)
            warm = [in_a_process(name, **kept) for _ in range(repeats)]
        for label in cold[0]["calls"]:
            parts = [{**run["calls"][label], "floor": run["floor"]} for run in cold]
            middle = {key: statistics.median(part[key] for part in parts) for key in parts[0]}
            again = statistics.median(run["calls"][label]["seconds"] for run in warm)
            print(
                f"| {name} | {label} | {middle['seconds']:.2f} "
                f"| {middle['seconds'] / middle['floor']:.1f} | {middle['trace']:.2f} "
                f"| {middle['lower']:.2f} | {middle['compile']:.2f} | {middle['programs']} "
                f"| {again:.2f} |",
                flush=True,
            )


def check(names):
    """Exit with an error if a call takes more programs or instructions than recorded."""
    recorded = json.loads(RECORDED.read_text())
    worse = []
    for name, now in zip(names, each(counted, names), strict=True):
        print(f"{name}: {now}, recorded {recorded[name]}", flush=True)
        worse += [
            f"{name}: {now[what]} {what}, recorded {most}"
            for what, most in recorded[name].items()
            if now[what] > ROOM * most
        ]
    if worse:
        sys.exit(
            "more than recorded (python benchmarks/first_call.py --record):\n" + "\n".join(worse)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], help="words in the names of calls")
    parser.add_argument("--repeats", type=int, default=3, help="processes for each median")
    parser.add_argument("--check", action="store_true", help="compare counts with the recorded")
    parser.add_argument("--record", action="store_true", help="record the counts")
    parser.add_argument("--smoke", action="store_true", help="check two calls")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    names = [name for name in CALLS if any(word in name for word in options.only)]
    if options.record:
        found = dict(zip(names, each(counted, names), strict=True))
        before = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
        RECORDED.write_text(json.dumps({**before, **found}, indent=2) + "\n")
        print(json.dumps(found, indent=2))
    elif options.check or options.smoke:
        check(SMOKE if options.smoke else names)
    else:
        table(names, options.repeats)


if __name__ == "__main__":
    main()
