"""The liver and what lies in it: parenchyma, nodules, vessels, focal lesions, gallbladder."""

import numpy as np

from synthesis.phantoms import labels as L
from synthesis.phantoms.pathology import Lesion, candidate_lesions, lesion_fits, liver_texture
from synthesis.phantoms.scene import Scene
from synthesis.phantoms.shapes import (
    Box,
    Field,
    Frame,
    Point,
    Waves,
    ellipsoid,
    meet,
    smooth_union,
    superellipse,
    tube,
)
from synthesis.phantoms.streams import stream
from synthesis.phantoms.subject import HALF_DEPTH, HALF_WIDTH

__all__ = ["diaphragm", "liver_box", "liver_distance", "paint_liver"]

DOME_MM = 50.0
LOW: Point = (-150.0, -110.0, -120.0)
HIGH: Point = (90.0, 110.0, 140.0)


def liver_box(frame: Frame) -> Box | None:
    """Return the box that holds the liver."""
    return frame.box(LOW, HIGH)


def diaphragm(frame: Frame, box: Box, dome: Point, width: float, depth: float) -> Field:
    """Distance to the lung above one dome of the diaphragm (negative in the lung)."""
    x, y, z = frame.at(box)
    u = (x - np.float32(dome[0])) * np.float32(1 / width)
    v = (y - np.float32(dome[1])) * np.float32(1 / depth)
    square = u * u + v * v
    height = np.float32(dome[2]) - np.float32(DOME_MM) * square
    slope = np.sqrt(1 + np.float32((2 * DOME_MM / min(width, depth)) ** 2) * square)
    out: Field = np.divide(height - z, slope, dtype=np.float32)
    return out


def liver_distance(scene: Scene, frame: Frame, box: Box, cavity: Field) -> Field:
    """Distance to the liver's surface for the scene's grade of shape."""
    grade = scene.cirrhosis
    shift = scene.jitter("liver place", sd=1.0, size=8)
    z = frame.tall[box[0]]
    right = grade.right_lobe * (1 + 0.03 * shift[0])
    left = grade.left_lobe * (1 + 0.07 * shift[1])
    # The lower the slice, the closer the lobe keeps to the flank.
    lower = np.minimum(z - np.float32(10.0), 0.0) * np.float32(0.30)
    leaning = Frame(
        frame.x, frame.y, frame.z, frame.bent_x - lower, frame.bent_y, frame.tall, frame.pixel, frame.slack
    )
    distance = ellipsoid(
        leaning,
        box,
        (-70.0 + 3.0 * shift[2], -2.0, 14.0 + 6 * shift[3]),
        (68.0 * right, 80.0 * right, 88.0 * (0.5 + 0.5 * right)),
    )
    lobe = ellipsoid(
        frame,
        box,
        (-12.0 + 5 * shift[4], -50.0, 34.0 + 5 * shift[5]),
        (64.0 * left, 31.0 * left, 46.0 * left),
        0.12,
    )
    distance = smooth_union(distance, lobe, 16.0)
    # The hilum and the bed of the vena cava hollow the back of the liver out.
    hollow = ellipsoid(frame, box, (-6.0, 28.0, -10.0), (34.0, 46.0, 62.0), 0.3)
    distance = np.maximum(distance, -hollow)
    caudate = ellipsoid(
        frame,
        box,
        (-27.0, 8.0, 28.0),
        (15.0 * grade.caudate, 17.0 * grade.caudate, 27.0 * grade.caudate),
    )
    distance = smooth_union(distance, caudate, 5.0)
    distance += frame.waves(_surface(scene, "liver outline", 2.2, 45.0, 110.0), box)
    if grade.surface > 0:
        bumps = frame.waves(_surface(scene, "liver surface", 1.0, 13.0, 24.0, 10), box)
        distance += np.float32(grade.surface) * bumps + np.float32(0.8 * grade.surface)
    distance = np.maximum(distance, cavity[box] + np.float32(2.5 + grade.ascites))
    return distance


def _surface(scene: Scene, name: str, gain: float, shortest: float, longest: float, count: int = 5) -> Waves:
    rng = stream(scene.subject.seed, name)
    return Waves.draw(rng, gain=gain, shortest=shortest, longest=longest, count=count)


def paint_liver(scene: Scene) -> None:
    """Paint the parenchyma with its nodules, the vessels, the lesions, fissure and gallbladder."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    box = liver_box(frame)
    if box is None:
        return
    distance = liver_distance(scene, frame, box, scene.cavity)
    value = np.full(distance.shape, values["liver"], dtype=np.float32)
    near = distance < np.float32(frame.pixel)
    if near.any():
        x, y, z = frame.at(box)
        points = np.stack([x[near], y[near], np.broadcast_to(z, near.shape)[near]], axis=1)
        texture = liver_texture(scene.subject.seed, points, scene.modality, scene.attributes.severity_texture)
        value[near] += texture if scene.modality == "CT" else texture * np.float32(values["liver"])
    canvas.paint(L.LIVER, box, distance, value)
    _paint_vessels(scene, box, distance)
    for lesion in place_lesions(scene):
        _paint_lesion(scene, lesion, distance, box)
    # The fissure of the round ligament parts the left lobe.
    tilt = scene.jitter("fissure", sd=1.0, size=2)
    fissure = ellipsoid(
        frame, box, (-30.0 + 4 * tilt[0], -62.0, 8.0), (2.4, 19.0, 34.0), 0.25 + 0.1 * tilt[1]
    )
    canvas.paint(L.FAT, box, np.maximum(fissure, distance), values["fat"])


def _paint_vessels(scene: Scene, box: Box, liver: Field) -> None:
    """Paint the hepatic veins and the portal branches, within the liver."""
    frame = scene.frame
    j = scene.jitter("liver vessels", sd=4.0, size=24)
    cava: Point = (-25.0, 14.0, 62.0)
    split: Point = (-34.0, -6.0, 12.0)
    trees: list[tuple[list[Point], list[float]]] = [
        ([cava, (-70.0 + j[0], 14.0 + j[1], 48.0), (-112.0, 18.0 + j[2], 18.0 + j[3])], [5.5, 4.4, 2.2]),
        ([cava, (-52.0 + j[4], -20.0 + j[5], 46.0), (-72.0 + j[6], -50.0, 16.0 + j[7])], [5.5, 4.2, 2.2]),
        ([cava, (-18.0 + j[8], -26.0 + j[9], 50.0), (8.0 + j[10], -52.0, 36.0 + j[11])], [5.0, 3.8, 2.0]),
        ([split, (-72.0 + j[12], 2.0 + j[13], 14.0), (-108.0, -14.0 + j[14], 2.0 + j[15])], [6.0, 4.6, 2.2]),
        ([(-72.0 + j[12], 2.0 + j[13], 14.0), (-96.0, 36.0 + j[16], 14.0 + j[17])], [4.4, 2.4]),
        ([split, (-24.0 + j[18], -34.0, 24.0 + j[19]), (2.0 + j[20], -54.0, 28.0)], [5.4, 4.0, 2.2]),
        ([(-72.0 + j[12], 2.0 + j[13], 14.0), (-84.0, -4.0 + j[21], -40.0 + j[22])], [4.2, 2.2]),
    ]
    for points, radii in trees:
        around = frame.around(points, max(radii))
        overlap = None if around is None else meet(around, box)
        if overlap is None:
            continue
        part, inner = overlap
        distance = np.maximum(tube(frame, part, points, radii), liver[inner] + np.float32(1.5))
        scene.canvas.paint(L.VEINS, part, distance, scene.values["venous blood"])


def place_lesions(scene: Scene) -> list[Lesion]:
    """Choose where this phantom's lesions lie: the first candidates that fit in the liver.

    Depth is measured on a coarse slice of the subject at the drawn level, whatever grid is asked
    for, so that slice, volume and any spacing agree.
    """
    wanted = scene.attributes.lesions
    if wanted == 0:
        return []
    step = 4.0
    x = np.arange(-140.0, 40.0, step, dtype=np.float32)
    y = np.arange(-100.0, 80.0, step, dtype=np.float32)
    z = np.array([scene.subject.level], dtype=np.float32)
    shape = (1, len(y), len(x))
    coarse = Frame(
        x,
        y,
        z,
        np.broadcast_to(x[None, None, :], shape),
        np.broadcast_to(y[None, :, None], shape),
        z[:, None, None],
        step,
        0.0,
    )
    cavity = superellipse(coarse, HALF_WIDTH, HALF_DEPTH)
    whole = coarse.whole
    depth = liver_distance(scene, coarse, whole, cavity)
    kidney = ellipsoid(coarse, whole, (-60.0, 46.0, -24.0), (36.0, 38.0, 64.0))
    lung = diaphragm(coarse, whole, (-62.0, -24.0, 92.0), 88.0, 80.0)
    depth = np.maximum(depth, np.maximum(-kidney, -lung))
    chosen: list[Lesion] = []
    for lesion in candidate_lesions(scene.subject.seed, scene.subject.level):
        column = int(np.clip(np.rint((lesion.centre[0] - x[0]) / step), 0, len(x) - 1))
        row = int(np.clip(np.rint((lesion.centre[1] - y[0]) / step), 0, len(y) - 1))
        if lesion_fits(-float(depth[0, row, column]), lesion, chosen):
            chosen.append(lesion)
        if len(chosen) == wanted:
            break
    return chosen


def _paint_lesion(scene: Scene, lesion: Lesion, liver: Field, box: Box) -> None:
    frame = scene.frame
    around = frame.around([lesion.centre], max(lesion.radii))
    overlap = None if around is None else meet(around, box)
    if overlap is None:
        return
    part, inner = overlap
    distance = ellipsoid(frame, part, lesion.centre, lesion.radii, lesion.angle)
    value = scene.values["lesion hyper" if lesion.hyper else "lesion hypo"]
    scene.canvas.paint(L.LESION, part, np.maximum(distance, liver[inner]), value)
