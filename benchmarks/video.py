"""Background subtraction, a mixture a pixel: `mixjax.update` under `vmap`, beside OpenCV's MOG2.

    python benchmarks/video.py              # 300 frames of 160×120, a minute
    python benchmarks/video.py --smoke

The video is made here: a textured background under light that drifts and flickers, noise, and
shapes that move over it. After Stauffer and Grimson, Adaptive Background Mixture Models for
Real-Time Tracking (1999): a pixel that no component explains replaces the weakest one; the
components that are heavy and narrow are the background.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import mixjax
from mixjax.files import check_outputs, write_text

RATE = 0.02  # of learning, for both
WARM_UP = 60  # frames that are not judged
THRESHOLDS = (9.0, 16.0, 25.0, 36.0)  # squared distance in standard deviations
DEFAULT = 16.0  # OpenCV's
K = 3
FIRST_VARIANCE = (15 / 255) ** 2
LEAST_VARIANCE = (2 / 255) ** 2
BACKGROUND_SHARE = 0.7  # for both


class Frame(NamedTuple):
    image: np.ndarray  # (H, W, 3) uint8
    foreground: np.ndarray  # (H, W) bool


def video(n_frames: int, height: int, width: int, seed: int) -> Iterator[Frame]:
    """Frames with the truth about each pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    texture = 90 + 40 * np.sin(x / 9)[..., None] * np.cos(y / 13)[..., None]
    texture = texture + rng.normal(size=(height, width, 3)) * 12 + np.array([10, 0, -10])
    waving = (x > 0.8 * width) & (y < 0.3 * height)  # leaves: two looks of one place
    shapes = [
        (
            rng.uniform(8, 16),
            rng.uniform(0, 1, 2),
            rng.uniform(1, 2.5, 2) * rng.choice([-1, 1], 2),
            rng.uniform(0, 255, 3),
        )
        for _ in range(6)
    ]
    for t in range(n_frames):
        light = 1 + 0.15 * np.sin(2 * np.pi * t / 150) + 0.02 * rng.normal()
        image = texture * light
        image = np.where((waving & (rng.random() < 0.4))[..., None], image + 45, image)
        mask = np.zeros((height, width), bool)
        for i, (radius, place, speed, color) in enumerate(shapes):
            cx, cy = np.mod(place * [width, height] + speed * t, [width, height])
            if i % 2:
                inside = (np.abs(x - cx) < radius) & (np.abs(y - cy) < 0.7 * radius)
            else:
                inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
            image = np.where(inside[..., None], color * light, image)
            mask |= inside
        noisy = image + 5 * rng.normal(size=image.shape)
        yield Frame(np.clip(noisy, 0, 255).astype(np.uint8), mask)


def begin(first: Array) -> Any:
    """A mixture for each pixel (P, 3): one component at its first color, two that wait."""

    def pixel(color: Array) -> mixjax.Stepwise:
        weights = jnp.asarray([0.9, 0.05, 0.05])
        means = jnp.broadcast_to(color, (K, 3))
        components = mixjax.DiagonalGaussian(means, jnp.full((K, 3), FIRST_VARIANCE**0.5))
        mixture = mixjax.Mixture(jnp.log(weights), components)
        return mixjax.Stepwise.of(mixture, reg_covar=0.0)

    return jax.vmap(pixel)(first)


def seen(state: mixjax.Stepwise, color: Array, threshold: Array) -> tuple[Any, Array]:
    """One pixel: the state after this color (3,), and whether it is foreground."""
    mixture = state.mixture
    components = mixture.components
    squares = jnp.sum(((color[None] - components.means) / components.scales) ** 2, axis=1)
    matched = squares < threshold

    # Heavy and narrow first: the background is what makes up the most of the past.
    width = jnp.mean(components.scales, axis=1)
    order = jnp.argsort(-mixture.weights / width)
    before = jnp.cumsum(mixture.weights[order]) - mixture.weights[order]
    background = jnp.zeros(K, bool).at[order].set(before < BACKGROUND_SHARE)
    foreground = ~jnp.any(matched & background)

    weakest = (jnp.arange(K) == jnp.argmin(mixture.weights)) & ~jnp.any(matched)
    weights = jnp.where(weakest, RATE, mixture.weights)
    means = jnp.where(weakest[:, None], color[None], components.means)
    scales = jnp.where(weakest[:, None], FIRST_VARIANCE**0.5, components.scales)
    scales = jnp.maximum(scales, LEAST_VARIANCE**0.5)
    components = mixjax.DiagonalGaussian(means, scales)
    mixture = mixjax.Mixture(jnp.log(weights / jnp.sum(weights)), components)
    state = mixjax.Stepwise.of(mixture, reg_covar=0.0)
    return mixjax.update(state, color[None], RATE), foreground


@jax.jit
def frame_step(state: Any, image: Array, threshold: Array) -> tuple[Any, Array]:
    colors = image.reshape(-1, 3).astype(jnp.float32) / 255
    return jax.vmap(lambda s, c: seen(s, c, threshold))(state, colors)


def by_mixjax(images: list[np.ndarray], threshold: float) -> Iterator[np.ndarray]:
    state = begin(jnp.asarray(images[0].reshape(-1, 3).astype(np.float32) / 255))
    for image in images:
        state, foreground = frame_step(state, jnp.asarray(image), jnp.float32(threshold))
        yield np.asarray(foreground).reshape(image.shape[:2])


def by_opencv(images: list[np.ndarray], threshold: float) -> Iterator[np.ndarray]:
    import cv2

    model = cv2.createBackgroundSubtractorMOG2(varThreshold=threshold, detectShadows=False)
    model.setNMixtures(K)
    model.setBackgroundRatio(BACKGROUND_SHARE)
    for image in images:
        yield model.apply(image, learningRate=RATE) > 0


def judged(
    method: Callable[..., Iterator[np.ndarray]], frames: list[Frame], threshold: float
) -> dict[str, float]:
    """F1 of the foreground pixels after the warm-up, and frames a second."""
    images = [frame.image for frame in frames]
    for _ in method(images[:3], threshold):
        pass
    start = time.perf_counter()
    masks = list(method(images, threshold))
    seconds = time.perf_counter() - start
    found = np.stack(masks[WARM_UP:])
    truth = np.stack([frame.foreground for frame in frames[WARM_UP:]])
    hits = (found & truth).sum()
    return {
        "f1": float(2 * hits / (found.sum() + truth.sum())),
        "precision": float(hits / max(found.sum(), 1)),
        "recall": float(hits / truth.sum()),
        "frames_a_second": len(images) / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="few small frames")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    n_frames, height, width = (70, 24, 32) if args.smoke else (300, 120, 160)
    seeds = 1 if args.smoke else args.seeds
    results: dict[str, Any] = {"pixels": height * width, "frames": n_frames, "rows": []}
    for seed in range(seeds):
        frames = list(video(n_frames, height, width, seed))
        for name, method in {"mixjax": by_mixjax, "OpenCV MOG2": by_opencv}.items():
            for threshold in (DEFAULT,) if args.smoke else THRESHOLDS:
                row = judged(method, frames, threshold)
                results["rows"].append(
                    {"method": name, "seed": seed, "threshold": threshold, **row}
                )
    print("| method | threshold | F1 | precision | recall | frames a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("mixjax", "OpenCV MOG2"):
        for threshold in THRESHOLDS:
            rows = [
                r for r in results["rows"] if (r["method"], r["threshold"]) == (name, threshold)
            ]
            if rows:
                f1, p, r, fps = (
                    np.mean([row[figure] for row in rows])
                    for figure in ("f1", "precision", "recall", "frames_a_second")
                )
                print(f"| {name} | {threshold:g} | {f1:.3f} | {p:.3f} | {r:.3f} | {fps:.0f} |")
    if args.json:
        write_text(args.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
