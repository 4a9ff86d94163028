"""A head with lesions and cysts, as functions of millimetres, which any grid can sample.

Space is RAS+ mm with the origin in the middle of the head. Each finding has two overlapping parts.
T2 shows one part, FLAIR the other, and both show the overlap. The true mask is the union, which no
sequence shows completely. Outside its part, a sequence shows healthy tissue.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SEQUENCES = ("T2", "FLAIR")
LESION, CYST = 1, 2
LABELS = {"lesion": LESION, "cyst": CYST}
BRAIN_MM = (60.0, 72.0, 74.0)  # semi-axes: left-right, back-front, down-up


@dataclass(frozen=True)
class Contrast:
    """Signal of each tissue in one sequence; CSF on T2 is 1."""

    white: float
    grey: float
    csf: float
    bone: float
    scalp: float
    lesion: float
    cyst: float
    capsule: float
    capsule_mm: float
    distractor: float


CONTRASTS = {
    "T2": Contrast(0.38, 0.53, 1.0, 0.06, 0.58, 0.82, 1.08, 0.20, 1.6, 0.95),
    "FLAIR": Contrast(0.40, 0.52, 0.10, 0.06, 0.50, 0.88, 0.12, 0.74, 2.6, 0.90),
}


class Waves:
    """A smooth random field of about unit variance: random plane waves of a given length."""

    def __init__(self, rng: np.random.Generator, length_mm: float, count: int = 16) -> None:
        self._vectors = rng.normal(0, 2.0 / length_mm, (count, 3))  # radians per mm
        self._phases = rng.uniform(0, 2 * np.pi, count)

    def __call__(self, points: Array) -> Array:
        """Field at `points` (..., 3) mm -> (...)."""
        total = np.zeros(points.shape[:-1])
        for vector, phase in zip(self._vectors, self._phases, strict=True):
            total += np.cos((points @ vector + phase).astype(np.float32))
        return np.asarray(total * np.sqrt(2.0 / len(self._phases)))


class Blob:
    """A closed surface: a barrel whose outline varies with a few random harmonics.

    It is a barrel, because the last slices of an ellipsoid would show only a dot.
    """

    def __init__(
        self, rng: np.random.Generator, centre: Array, radius_mm: float, roughness: float
    ) -> None:
        self._centre = centre
        self._radius_mm = radius_mm
        self._flatness = rng.uniform(0.8, 1.05)  # height over width
        self._swings = rng.uniform(-roughness, roughness, 4)
        self._phases = rng.uniform(0, 2 * np.pi, 4)

    def depth_mm(self, points: Array, wall_mm: float = 0.0) -> Array:
        """Approximate depth of `points` (..., 3) inside; negative outside and in the wall."""
        x, y, z = np.moveaxis(points - self._centre, -1, 0)
        radius_mm = self._radius_mm - wall_mm
        z = z / self._flatness * radius_mm / self._radius_mm  # floor and lid have no wall
        distance = np.sqrt(np.sqrt((x**2 + y**2) ** 2 + z**4))
        depth = radius_mm - distance
        near = depth > -radius_mm  # the outline matters only here
        angle = np.arctan2(y[near], x[near])
        level = np.hypot(x[near], y[near]) / np.maximum(distance[near], 1e-6)  # 0 at the poles
        for order, (swing, phase) in enumerate(zip(self._swings, self._phases, strict=True), 2):
            wave = np.cos(order * angle + phase + 0.05 * z[near])
            depth[near] += radius_mm * swing * level * wave
        return np.asarray(depth)


@dataclass(frozen=True)
class Finding:
    """One lesion or cyst: its label and the part that each sequence shows."""

    label: int
    parts: Mapping[str, Blob]

    def union(self, points: Array) -> Bools:
        """The truth at `points`: inside any part."""
        inside = [part.depth_mm(points) > 0 for part in self.parts.values()]
        return np.asarray(np.any(inside, axis=0))


class Head:
    """Skull, brain and ventricles of one synthetic patient."""

    def __init__(self, rng: np.random.Generator) -> None:
        tilt = np.deg2rad(rng.uniform(-7, 7))
        self._turn = np.array(
            [[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]]
        )
        self._size = rng.uniform(0.94, 1.03, 3)
        self._shift_mm = rng.uniform(-3, 3, 3) + np.array([0, 0, -8])
        self._ventricle_mm = rng.uniform(3.5, 5.5)
        self._folds = Waves(rng, 10.0)
        self._ribbon = Waves(rng, 10.0)
        self._texture = Waves(rng, 7.0)

    def _to_head(self, points: Array) -> Array:
        return np.asarray((points - self._shift_mm) @ self._turn / self._size)

    def depth_mm(self, points: Array) -> Array:
        """Depth below the brain's surface; negative in the fluid, bone and scalp around it."""
        x, y, z = np.moveaxis(self._to_head(points), -1, 0)
        a, b, c = BRAIN_MM
        width = a * (1 - 0.10 * y / b)  # the forehead is narrower than the back of the head
        return np.asarray((1 - np.sqrt((x / width) ** 2 + (y / b) ** 2 + (z / c) ** 2)) * a)

    def ventricle_mm(self, points: Array) -> Array:
        """Depth inside the ventricles: two lateral horns and a slit between them."""
        x, y, z = np.moveaxis(self._to_head(points), -1, 0)
        reach = np.clip(1 - ((z - 8) / 26) ** 2, 0, 1)
        middle = 4.5 + 11 * (y / 38) ** 2
        half = self._ventricle_mm * np.sqrt(reach) * np.clip(1.15 - (y / 36) ** 2, -1, 1)
        lateral = half - np.abs(np.abs(x) - middle) - 2.0 * (reach == 0)
        third = np.minimum(1.6 - np.abs(x), 12 - np.abs(y + 6)) - 4.0 * (z > 6)
        return np.asarray(np.maximum(lateral, third))

    def paint(self, points: Array, tissue: Contrast) -> Array:
        """Signal of the healthy head at `points`, in the sequence's units."""
        x, y, _ = np.moveaxis(self._to_head(points), -1, 0)
        depth = self.depth_mm(points)
        folds = np.abs(self._folds(points))
        signal = np.full(depth.shape, tissue.white)
        near = np.clip(1 - depth / 16, 0, 1)  # folds close towards the middle
        grey = np.maximum(4.0 + 0.8 * self._ribbon(points) - depth, (0.55 * near - folds) * 9)
        nuclei = [
            1 - np.hypot((np.abs(x) - cx) / rx, (y - cy) / ry)
            for cx, cy, rx, ry in ((13.0, -12.0, 8.0, 11.0), (23.0, 8.0, 5.0, 14.0))
        ]
        _lay(signal, tissue.grey, np.maximum(grey, 6 * np.max(nuclei, axis=0)), 0.8)
        signal *= 1 + 0.035 * self._texture(points)
        _lay(signal, tissue.csf, (0.22 * near - folds) * 7, 0.7)
        _lay(signal, tissue.csf, np.minimum(0.9 - np.abs(x), np.abs(y - 2) - 40), 0.6)
        _lay(signal, tissue.csf, self.ventricle_mm(points), 0.7)
        for level, outer_mm in ((tissue.csf, 0.0), (tissue.bone, 2.5), (tissue.scalp, 8.0)):
            _lay(signal, level, -outer_mm - depth, 0.6)
        _lay(signal, 0.0, -13.0 - depth, 0.6)
        return signal


@dataclass(frozen=True, eq=False)
class Patient:
    """A head with its findings and, per sequence, bright spots that are not findings."""

    head: Head
    findings: tuple[Finding, ...]
    distractors: Mapping[str, tuple[tuple[Array, Array, float], ...]]  # from mm, to mm, radius mm
    texture: Waves

    def truth(self, points: Array) -> npt.NDArray[np.uint8]:
        """Label values at `points`: the union of each finding's parts."""
        return self._labels(points, SEQUENCES)

    def shown(self, points: Array, sequence: str) -> npt.NDArray[np.uint8]:
        """Label values of the parts that one sequence shows."""
        return self._labels(points, (sequence,))

    def _labels(self, points: Array, sequences: tuple[str, ...]) -> npt.NDArray[np.uint8]:
        labels = np.zeros(points.shape[:-1], np.uint8)
        for finding in self.findings:
            for sequence in sequences:
                labels[finding.parts[sequence].depth_mm(points) > 0] = finding.label
        return labels

    def signal(self, points: Array, sequence: str) -> Array:
        """Noise-free signal of one sequence at `points`."""
        tissue = CONTRASTS[sequence]
        signal = self.head.paint(points, tissue)
        for start, end, radius_mm in self.distractors[sequence]:
            inside = radius_mm - _distance_mm(points, start, end)
            _lay(signal, tissue.distractor, inside, 0.5)
        texture = 0.05 * self.texture(points)
        for finding in self.findings:
            part = finding.parts[sequence]
            depth = part.depth_mm(points)
            if finding.label == LESION:
                _lay(signal, tissue.lesion + texture, depth, 0.9)
            else:
                _lay(signal, tissue.capsule, depth, 0.5)
                _lay(signal, tissue.cyst, part.depth_mm(points, tissue.capsule_mm), 0.5)
        return signal


def _lay(signal: Array, level: Array | float, depth_mm: Array, soft_mm: float) -> None:
    """Lay a tissue over `signal` where `depth_mm` is positive, with an edge of `soft_mm`."""
    weight = 1 / (1 + np.exp(-np.clip(depth_mm / soft_mm * 2, -30, 30)))
    signal += weight * (level - signal)


def _distance_mm(points: Array, start: Array, end: Array) -> Array:
    """Distance of `points` from a line, shortened along z, so that 5 mm slices show its ends."""
    along = end - start
    length = float(along @ along)
    share = np.clip((points - start) @ along / length, 0, 1) if length else 0.0
    offset = points - start - np.multiply.outer(share, along)
    offset[..., 2] *= 0.6
    return np.asarray(np.linalg.norm(offset, axis=-1))


def _draw_finding(rng: np.random.Generator, label: int) -> Finding:
    radius_mm = rng.uniform(10.0, 14.5) if label == LESION else rng.uniform(9.5, 13.0)
    roughness = 0.11 if label == LESION else 0.02
    centre = np.array([rng.uniform(-48, 48), rng.uniform(-58, 58), rng.uniform(-16, 16)])
    angle = rng.uniform(0, 2 * np.pi)
    apart = np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.2, 0.2)])
    apart *= 0.5 * radius_mm * rng.uniform(0.94, 1.10)
    parts = {
        sequence: Blob(rng, centre + sign * apart, radius_mm * rng.uniform(0.96, 1.04), roughness)
        for sequence, sign in zip(SEQUENCES, (-1, 1), strict=True)
    }
    return Finding(label, parts)


def _draw_distractors(
    rng: np.random.Generator, points: Array, free: Bools
) -> dict[str, tuple[tuple[Array, Array, float], ...]]:
    """Dots for T2 (widened perivascular spaces) and thin vessels for FLAIR, off the findings."""
    places = points[free]  # (N, 3)
    dots = [places[i] for i in rng.integers(len(places), size=rng.integers(6, 11))]
    vessels = []
    for index in rng.integers(len(places), size=rng.integers(2, 4)):
        angle = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(angle), np.sin(angle), 0.0]) * rng.uniform(14, 22)
        vessels.append((places[index], places[index] + along, 1.3))
    return {
        "T2": tuple((dot, dot, float(rng.uniform(1.8, 2.4))) for dot in dots),
        "FLAIR": tuple(vessels),
    }


def draw_patient(seed: int, points: Array) -> Patient:
    """A patient with 1-3 lesions and 1-2 cysts that fit into the brain at `points`."""
    rng = np.random.default_rng(seed)
    head = Head(rng)
    points = points[::2, ::2]  # 3 mm spacing is fine enough for this check
    free = (head.depth_mm(points) > 3.0) & (head.ventricle_mm(points) < -2.0)
    labels = [LESION] * int(rng.integers(1, 4)) + [CYST] * int(rng.integers(1, 3))
    labels.sort(key=lambda label: labels.count(label))  # the rarer label first, while there is room
    findings: list[Finding] = []
    for label in labels:
        for _ in range(300):
            finding = _draw_finding(rng, label)
            region = finding.union(points)
            if free[region].all():
                findings.append(finding)
                free &= gaussian_filter(region.astype(np.float32), (1.3, 1.3, 0.6)) < 0.02
                break
    return Patient(head, tuple(findings), _draw_distractors(rng, points, free), Waves(rng, 6.0))


def scan(patient: Patient, sequence: str, points: Array, seed: int) -> npt.NDArray[np.int16]:
    """One sequence as a scanner would store it: blurred, shaded by the coil, noisy, int16.

    Args:
        patient: the head and its findings.
        sequence: "T2" or "FLAIR".
        points: (X, Y, Z, 3) RAS mm of the voxel centres.
        seed: of the coil's shading, the noise and the scale.
    """
    rng = np.random.default_rng(seed)
    signal = np.zeros(points.shape[:-1])
    inside = patient.head.depth_mm(points) > -16  # outside the scalp the signal is 0
    signal[inside] = patient.signal(points[inside], sequence)
    signal = gaussian_filter(signal, (0.45, 0.45, 0.0))
    shading = np.exp(0.12 * Waves(rng, 110.0, 8)(points))
    noise = rng.normal(0, rng.uniform(0.022, 0.034), (2, *signal.shape))
    magnitude = np.hypot(signal * shading + noise[0], noise[1])  # Rician: noise in both channels
    return np.asarray(np.rint(magnitude * rng.uniform(500, 900)), dtype=np.int16)
