"""The trunk: skin, fat, muscles, ribs and spine."""

import numpy as np

from synthesis.phantoms import labels as L
from synthesis.phantoms.scene import Scene
from synthesis.phantoms.shapes import ellipsoid, superellipse, tube
from synthesis.phantoms.subject import HALF_DEPTH, HALF_WIDTH

__all__ = ["paint_psoas", "paint_ribs", "paint_spine", "paint_trunk"]

SKIN_MM = 2.0
VERTEBRA_MM = 36.0
DISC_MM = 4.5
RIB_GAP_MM = 27.0
RIB_FALL_MM = 62.0


def paint_trunk(scene: Scene) -> None:
    """Paint skin, subcutaneous fat, the muscular wall, the cavity's fat and the back muscles."""
    frame, canvas, build, values = scene.frame, scene.canvas, scene.build, scene.values
    whole = frame.whole
    x, y, _ = frame.at(whole)
    fat = build.subcutaneous
    body = superellipse(frame, HALF_WIDTH + build.wall + 0.95 * fat, HALF_DEPTH + build.wall + fat + 3.0, 3.0)
    body += scene.ripple("outline", whole, 1.2, 90.0, 220.0)
    # The furrow over the spine.
    furrow = np.exp(-((x / np.float32(16.0)) ** 2)) * (y > 0)
    body += furrow * np.float32(0.25 * fat)
    canvas.paint(L.SKIN, whole, body, values["skin"])
    skin = max(SKIN_MM, 1.05 * frame.pixel)
    canvas.paint(L.FAT, whole, body + np.float32(skin), values["fat"])

    side = np.abs(x) * np.float32(1 / HALF_WIDTH)
    # The flank is thickest, the white line in front is thin.
    wall = np.float32(build.wall) * (np.float32(0.62) + np.float32(0.5) * side)
    rectus = np.exp(-(((np.abs(x) - np.float32(34.0)) / np.float32(24.0)) ** 2)) * (y < 0)
    wall += np.float32(0.45 * build.wall) * rectus
    wall += scene.ripple("wall", whole, 0.7, 40.0, 120.0)
    canvas.paint(L.MUSCLE, whole, scene.cavity - wall, values["muscle"])
    # A plane of fat parts the flank's layers below the ribs.
    low = np.clip((-frame.tall - np.float32(12.0)) * np.float32(0.08), 0.0, 1.0)
    plane = np.abs(scene.cavity - np.float32(0.55) * wall) - np.float32(0.9)
    plane += np.float32(40.0) * (1 - low) + np.float32(40.0) * (side < 0.55)
    mixed = 0.5 * values["fat"] + 0.5 * values["muscle"]
    canvas.paint(L.MUSCLE, whole, np.maximum(plane, scene.cavity - wall), mixed)
    canvas.paint(L.FAT, whole, scene.cavity, values["fat"])

    for hand in (-1.0, 1.0):
        _paint_back(scene, hand)


def _paint_back(scene: Scene, hand: float) -> None:
    """Paint the muscles beside the spine on one side (hand -1: right, +1: left)."""
    frame, canvas, size, values = scene.frame, scene.canvas, scene.build.muscle, scene.values
    name = "right" if hand < 0 else "left"
    box = frame.box((-75.0, 40.0, -1e4), (75.0, 125.0, 1e4))
    if box is None:
        return
    streaks = scene.ripple(f"streaks {name}", box, 1.0, 8.0, 22.0)
    fatty = 0.16 * max(scene.attributes.age - 30.0, 0.0) / 60.0
    muscle = values["muscle"] + streaks * np.float32(fatty * (values["fat"] - values["muscle"]))
    back = ellipsoid(frame, box, (hand * 29.0, 84.0, 0.0), (27.0 * size, 19.0 * size, 1e5), -0.25 * hand)
    back += scene.ripple(f"back {name}", box, 0.8, 25.0, 60.0)
    # Fascia: a hair of fat around the muscle.
    canvas.paint(L.FAT, box, back - np.float32(1.6), values["fat"])
    canvas.paint(L.MUSCLE, box, back, muscle)


def paint_psoas(scene: Scene) -> None:
    """Paint psoas, quadratus lumborum and the crura of the diaphragm on both sides."""
    frame, canvas, size, muscle = scene.frame, scene.canvas, scene.build.muscle, scene.values["muscle"]
    for hand in (-1.0, 1.0):
        box = frame.box((-80.0, 20.0, -160.0), (80.0, 95.0, 40.0))
        if box is not None:
            points = [(hand * 27.0, 52.0, 16.0), (hand * 33.0, 52.0, -30.0), (hand * 46.0, 42.0, -140.0)]
            psoas = tube(frame, box, points, [3.0 * size, 13.0 * size, 20.0 * size])
            canvas.paint(L.MUSCLE, box, psoas, muscle)
            points = [(hand * 52.0, 77.0, 4.0), (hand * 66.0, 72.0, -90.0)]
            quadratus = tube(frame, box, points, [5.0 * size, 10.0 * size])
            canvas.paint(L.MUSCLE, box, quadratus, muscle)
        box = frame.box((-30.0, 10.0, -60.0), (30.0, 60.0, 90.0))
        if box is not None:
            crus = ellipsoid(
                frame, box, (hand * 15.0 + 4.0, 30.0, 25.0), (4.0 * size, 13.0, 60.0), -0.25 * hand
            )
            canvas.paint(L.MUSCLE, box, crus, muscle)


def paint_ribs(scene: Scene) -> None:
    """Paint ribs 12 and up: each falls as it runs forward, so that one slice cuts several.

    In the unrolled wall (angle from the back, height) the ribs are parallel slanting bars; the
    two lowest end freely, the others at the costal arch.
    """
    frame, canvas = scene.frame, scene.canvas
    whole = frame.whole
    x, y, z = frame.at(whole)
    if float(frame.z[-1]) < -45.0:
        return
    angle = np.arctan2(np.abs(x), y)
    lift = scene.jitter("ribs", sd=4.0, size=1)[0]
    order = (z - np.float32(5.0 + lift) + np.float32(RIB_FALL_MM) * (angle - np.float32(0.35))) / np.float32(
        RIB_GAP_MM
    )
    index = np.rint(order)
    across = (order - index) * np.float32(RIB_GAP_MM * 0.88 / 6.6)
    through = (scene.cavity - np.float32(0.42 * scene.build.wall)) * np.float32(1 / 3.9)
    k = np.sqrt(across * across + through * through)
    distance = (k - 1) * np.float32(4.8)
    end = np.minimum(np.float32(0.95) + np.float32(0.33) * index, np.float32(2.4))
    distance = np.maximum(distance, (angle - end) * np.float32(110.0))
    distance = np.maximum(distance, (np.float32(0.30) - angle) * np.float32(90.0))
    distance += np.float32(50.0) * (index < 0)
    canvas.paint(L.RIBS, whole, distance, scene.values["rib"])


def paint_spine(scene: Scene) -> None:
    """Paint vertebral bodies with cortex and discs, the arch, its processes and the canal."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    box = frame.box((-55.0, 20.0, -1e4), (55.0, 120.0, 1e4))
    if box is None:
        return
    z = frame.tall[box[0]]
    phase = np.mod(z - np.float32(scene.subject.vertebra), np.float32(VERTEBRA_MM))
    # Height above the middle of the vertebra, -18..18 mm.
    height = phase - np.float32(VERTEBRA_MM / 2)
    disc = np.float32(VERTEBRA_MM / 2 - DISC_MM) - np.abs(height)  # < 0 within the disc

    spinous = tube(frame, box, [(0.0, 86.0, 0.0), (0.0, 104.0, 0.0)], [4.6, 3.6], upright=True)
    spinous = np.maximum(spinous, np.abs(height + np.float32(6.0)) - np.float32(10.0))
    arch = spinous
    for hand in (-1.0, 1.0):
        lamina = tube(
            frame,
            box,
            [(hand * 13.0, 60.0, 0.0), (hand * 15.5, 72.0, 0.0), (hand * 3.0, 86.0, 0.0)],
            [4.6, 5.0, 4.0],
            upright=True,
        )
        arch = np.minimum(arch, lamina)
        process = tube(
            frame, box, [(hand * 17.0, 71.0, 0.0), (hand * 40.0, 77.0, 0.0)], [4.4, 3.0], upright=True
        )
        arch = np.minimum(arch, np.maximum(process, np.abs(height - np.float32(2.0)) - np.float32(6.0)))
    bone = 0.55 * values["marrow"] + 0.45 * values["cortex"]
    canvas.paint(L.BONE, box, arch, bone)

    body = ellipsoid(frame, box, (0.0, 46.0, 0.0), (22.0, 16.0, 1e5))
    body += scene.ripple("vertebra", box, 0.5, 20.0, 50.0)
    solid = np.maximum(body, -disc)
    canvas.paint(L.BODY, box, body, values["disc"])
    canvas.paint(L.BONE, box, solid, values["cortex"])
    trabecular = values["marrow"] + scene.ripple("trabeculae", box, 1.0, 5.0, 12.0) * np.float32(
        0.05 * abs(values["marrow"])
    )
    canvas.paint(L.BONE, box, solid + np.float32(2.2), trabecular)

    canal = ellipsoid(frame, box, (0.0, 70.0, 0.0), (10.0, 8.0, 1e5))
    canvas.paint(L.CANAL, box, canal, values["cerebrospinal fluid"])
    cord = ellipsoid(frame, box, (0.0, 71.0, 0.0), (5.0, 4.0, 1e5))
    canvas.paint(L.CANAL, box, cord, values["cord"])
