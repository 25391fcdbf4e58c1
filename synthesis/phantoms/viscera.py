"""The other organs: lung bases, spleen, kidneys, stomach, pancreas, bowel, great vessels, ascites."""

import numpy as np

from synthesis.phantoms import labels as L
from synthesis.phantoms.liver import diaphragm
from synthesis.phantoms.scene import Scene
from synthesis.phantoms.shapes import Point, ellipsoid, tube
from synthesis.phantoms.streams import stream

__all__ = [
    "paint_ascites",
    "paint_bowel",
    "paint_gallbladder",
    "paint_great_vessels",
    "paint_kidneys",
    "paint_lungs",
    "paint_pancreas",
    "paint_spleen",
    "paint_stomach",
]


def paint_ascites(scene: Scene) -> None:
    """Paint free fluid: a layer under the wall that is thickest in the flanks."""
    depth = scene.cirrhosis.ascites
    if depth == 0:
        return
    frame = scene.frame
    whole = frame.whole
    x, y, _ = frame.at(whole)
    cavity = scene.cavity
    layer = -cavity - np.float32(1.5 * depth)
    layer += scene.ripple("ascites", whole, 0.12 * depth, 40.0, 90.0)
    # The spine and the retroperitoneum stay dry.
    dry = np.float32(58.0) - np.abs(x) + np.float32(0.7) * (y - np.float32(30.0))
    fluid = np.maximum(np.maximum(layer, cavity + np.float32(1.0)), np.minimum(dry, y - np.float32(16.0)))
    scene.canvas.paint(L.ASCITES, whole, fluid, scene.values["ascites"])


def paint_lungs(scene: Scene) -> None:
    """Paint the lung bases behind and around the domes of the diaphragm."""
    frame = scene.frame
    lift = scene.jitter("diaphragm", sd=5.0, size=2)
    box = frame.box((-160.0, -120.0, -30.0), (160.0, 120.0, 200.0))
    if box is None:
        return
    x, y, _ = frame.at(box)
    right = diaphragm(frame, box, (-62.0, -24.0, 92.0 + lift[0]), 88.0, 80.0)
    left = diaphragm(frame, box, (62.0, -20.0, 88.0 + lift[1]), 88.0, 82.0)
    distance = np.where(x < 0, right, left)
    # Heart, gullet and spine lie between the lungs.
    between = np.float32(26.0) + np.clip(np.float32(-0.8) * (y + np.float32(10.0)), 0.0, 46.0)
    between += np.float32(10.0) * ((y - np.float32(58.0)) / np.float32(36.0)) ** 2 - np.float32(4.0)
    distance = np.maximum(distance, between - np.abs(x))
    distance = np.maximum(distance, scene.cavity[box] + np.float32(1.0))
    scene.canvas.paint(L.MUSCLE, box, distance - np.float32(2.2), scene.values["muscle"])
    vessels = scene.ripple("lung vessels", box, 1.0, 9.0, 20.0)
    vessels = np.maximum(vessels - np.float32(1.1), 0.0)
    lung = scene.values["lung"]
    value = lung + vessels * np.float32(0.45 * (scene.values["muscle"] - lung))
    scene.canvas.paint(L.LUNG, box, distance, value)


def paint_spleen(scene: Scene) -> None:
    """Paint the spleen along the left back wall, hollowed towards the hilum."""
    frame, size = scene.frame, scene.cirrhosis.spleen
    j = scene.jitter("spleen", sd=1.0, size=5)
    size *= 1 + 0.05 * j[0]
    box = frame.box((20.0, -70.0, -70.0), (150.0, 110.0, 120.0))
    if box is None:
        return
    shift = (size - 1) * 16.0
    centre = (103.0 - 0.4 * shift + 2 * j[1], 26.0 - shift + 3 * j[2], 30.0 - 0.5 * shift + 5 * j[3])
    distance = ellipsoid(frame, box, centre, (29.0 * size, 47.0 * size, 50.0 * size), 0.25)
    hilum = ellipsoid(frame, box, (centre[0] - 36.0 * size, centre[1] - 6.0, centre[2]), (20.0, 24.0, 38.0))
    distance = np.maximum(distance, -hilum)
    distance += scene.ripple("spleen outline", box, 1.2, 40.0, 90.0)
    distance = np.maximum(distance, scene.cavity[box] + np.float32(2.5 + 0.5 * scene.cirrhosis.ascites))
    scene.canvas.paint(L.SPLEEN, box, distance, scene.values["spleen"])


def paint_kidneys(scene: Scene) -> None:
    """Paint both kidneys in their fat: cortex, pyramids, and the sinus that opens to the middle."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    j = scene.jitter("kidneys", sd=1.0, size=10)
    for side, hand in enumerate((-1.0, 1.0)):
        k = j[5 * side : 5 * side + 5]
        centre = (hand * (60.0 + 2.5 * k[0]), 48.0 + 2.0 * k[1], (-26.0 if hand < 0 else -14.0) + 5 * k[2])
        size = 1 + 0.05 * k[3]
        radii = (24.0 * size, 29.0 * size, 54.0 * size)
        reach = 45.0
        box = frame.box(
            (centre[0] - reach, centre[1] - reach, centre[2] - 75.0),
            (centre[0] + reach, centre[1] + reach, centre[2] + 75.0),
        )
        if box is None:
            continue
        distance = ellipsoid(frame, box, centre, radii, -0.45 * hand)
        distance += scene.ripple(f"kidney {side}", box, 0.7, 25.0, 60.0)
        cushion = 2.5 + 4.5 * scene.build.visceral
        fat = np.maximum(distance - np.float32(cushion), scene.cavity[box] + np.float32(1.0))
        canvas.paint(L.FAT, box, fat, values["fat"])
        distance = np.maximum(distance, scene.cavity[box] + np.float32(3.0))
        pyramids = scene.ripple(f"pyramids {side}", box, 1.0, 14.0, 22.0)
        deep = np.clip((-distance - np.float32(6.0)) * np.float32(0.4), 0.0, 1.0)
        deep *= np.clip(pyramids + np.float32(0.5), 0.0, 1.0)
        cortex, medulla = values["renal cortex"], values["renal medulla"]
        canvas.paint(L.KIDNEYS, box, distance, cortex + deep * np.float32(medulla - cortex))
        sinus = ellipsoid(
            frame,
            box,
            (centre[0] - hand * 13.0, centre[1] - 7.0, centre[2]),
            (13.0, 6.5, 27.0),
            0.45 * hand,
        )
        canvas.paint(L.FAT, box, sinus, values["fat"])


def paint_stomach(scene: Scene) -> None:
    """Paint the stomach: wall, mottled content, and a gas bubble that floats to the front."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    j = scene.jitter("stomach", sd=1.0, size=8)
    box = frame.box((-40.0, -100.0, -60.0), (130.0, 70.0, 120.0))
    if box is None:
        return
    size = 1 + 0.08 * j[0]
    points: list[Point] = [
        (60.0 + 3 * j[1], 2.0, 62.0),
        (62.0 + 3 * j[1], -20.0 + 3 * j[2], 34.0),
        (48.0 + 4 * j[3], -48.0, 2.0),
        (8.0 + 5 * j[4], -42.0, -16.0 + 4 * j[5]),
    ]
    distance = tube(frame, box, points, [37.0 * size, 37.0 * size, 23.0 * size, 14.0 * size])
    distance += scene.ripple("stomach outline", box, 1.6, 25.0, 70.0)
    distance = np.maximum(distance, scene.cavity[box] + np.float32(4.0))
    canvas.paint(L.STOMACH, box, distance, values["gut wall"])
    content = scene.ripple("stomach content", box, 0.05, 10.0, 30.0, 10)
    lumen = distance + np.float32(3.6)
    canvas.paint(L.STOMACH, box, lumen, values["gut content"] * (1 + content))
    _, y, _ = frame.at(box)
    level = np.float32(-44.0 + 9.0 * j[6])
    canvas.paint(L.AIR, box, np.maximum(lumen, y - level), values["air"])


def paint_pancreas(scene: Scene) -> None:
    """Paint the pancreas from the head beside the duodenum up to the tail at the splenic hilum."""
    frame = scene.frame
    box = frame.box((-50.0, -50.0, -50.0), (110.0, 50.0, 60.0))
    if box is None:
        return
    j = scene.jitter("pancreas", sd=3.0, size=4)
    points: list[Point] = [
        (-24.0, -2.0 + j[0], -30.0),
        (-20.0, -8.0 + j[1], -10.0),
        (8.0, -16.0 + j[2], 2.0),
        (42.0, -2.0 + j[3], 12.0),
        (76.0, 14.0, 22.0),
    ]
    size = 1.0 - 0.15 * max(scene.attributes.age - 50.0, 0.0) / 40.0
    distance = tube(frame, box, points, [13.0 * size, 14.0 * size, 10.0 * size, 11.0 * size, 9.0 * size])
    distance += scene.ripple("pancreas lobules", box, 1.3, 9.0, 18.0)
    scene.canvas.paint(L.PANCREAS, box, distance, scene.values["pancreas"])


def paint_great_vessels(scene: Scene) -> None:
    """Paint aorta, vena cava, portal, splenic and mesenteric veins, and the mesenteric artery."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    j = scene.jitter("great vessels", sd=1.0, size=8)
    bore = 9.6 + 2.2 * (scene.attributes.age - 18.0) / 72.0 + 0.5 * j[0]
    blood, venous = values["arterial blood"], values["venous blood"]
    portal: list[Point] = [(4.0, -3.0, -6.0), (-14.0, -6.0, 2.0), (-34.0, -6.0, 12.0)]
    splenic: list[Point] = [(4.0, -3.0, -6.0), (38.0, 8.0 + j[1], 10.0), (80.0, 22.0, 24.0)]
    mesenteric: list[Point] = [(4.0, -3.0, -6.0), (-4.0, -12.0, -40.0), (-2.0, -18.0, -110.0)]
    cava: list[Point] = [
        (-19.0, 27.0 + j[2], -120.0),
        (-22.0, 25.0 + j[3], 0.0),
        (-25.0, 16.0, 50.0),
        (-24.0, 4.0, 110.0),
    ]
    aorta: list[Point] = [
        (4.0, 19.0, -120.0),
        (8.0 + j[4], 20.0, 0.0),
        (11.0, 25.0, 90.0),
        (14.0, 30.0, 160.0),
    ]
    artery: list[Point] = [(8.0, 10.0, 8.0), (8.0, -4.0, -14.0), (5.0, -16.0, -110.0)]
    for label, points, radii, value in (
        (L.VEINS, cava, [11.0, 11.5, 13.0, 13.0], venous),
        (L.AORTA, aorta, [bore - 1.5, bore, bore + 0.8, bore + 1.5], blood),
        (L.AORTA, artery, [3.6, 3.4, 2.8], blood),
        (L.VEINS, splenic, [5.0, 4.2, 3.4], venous),
        (L.VEINS, mesenteric, [5.6, 5.0, 4.2], venous),
        (L.VEINS, portal, [6.6, 7.2, 6.6], venous),
    ):
        box = frame.around(points, max(radii))
        if box is not None:
            canvas.paint(label, box, tube(frame, box, points, radii), value)


def paint_gallbladder(scene: Scene) -> None:
    """Paint the gallbladder under the liver."""
    j = scene.jitter("gallbladder", sd=1.0, size=4)
    box = scene.frame.box((-85.0, -90.0, -60.0), (-10.0, 20.0, 30.0))
    if box is None:
        return
    centre = (-50.0 + 3 * j[0], -36.0 + 3 * j[1], -12.0 + 4 * j[2])
    size = 1 + 0.1 * j[3]
    distance = ellipsoid(scene.frame, box, centre, (14.0 * size, 22.0 * size, 24.0 * size), 0.3)
    scene.canvas.paint(L.GALLBLADDER, box, distance - np.float32(1.2), scene.values["gut wall"])
    scene.canvas.paint(L.GALLBLADDER, box, distance, scene.values["bile"])


def paint_bowel(scene: Scene) -> None:
    """Paint colon, duodenum and the loops of the small bowel."""
    j = scene.jitter("colon", sd=4.0, size=16)
    ascending: list[Point] = [
        (-98.0 + j[0], 22.0, -130.0),
        (-96.0 + j[1], 14.0, -80.0),
        (-88.0, -14.0, -46.0 + j[2]),
    ]
    across: list[Point] = [
        (-88.0, -14.0, -46.0 + j[2]),
        (-60.0 + j[3], -58.0, -44.0 + j[4]),
        (0.0 + j[5], -72.0, -40.0 + j[6]),
        (58.0 + j[7], -62.0, -22.0 + j[8]),
        (98.0, -22.0 + j[9], 2.0),
    ]
    descending: list[Point] = [(98.0, -22.0 + j[9], 2.0), (108.0 + j[10], 14.0, -30.0), (110.0, 22.0, -130.0)]
    duodenum: list[Point] = [
        (-26.0, -30.0, -8.0),
        (-42.0 + j[11], -6.0, -14.0),
        (-40.0 + j[12], 2.0, -48.0),
        (10.0, 4.0, -56.0),
    ]
    rng = stream(scene.subject.seed, "small bowel")
    count = 110
    start = rng.uniform((-70.0, -78.0, -125.0), (96.0, 26.0, 12.0), size=(count, 3))
    turn = rng.normal(size=(count, 3)) * (22.0, 18.0, 12.0)
    bore = rng.uniform(9.5, 14.5, size=count) * (1.25 - 0.28 * scene.build.visceral)
    for i in range(count):
        # The loops hang lower on the right, below the liver's edge, than on the left.
        if start[i, 2] > -26.0 + 0.40 * start[i, 0]:
            continue
        a, b = start[i], start[i] + turn[i]
        _paint_gut(scene, f"loop {i}", [tuple(a), tuple(b)], [bore[i], bore[i]], ripple=0.0, gas=False)
    _paint_gut(scene, "duodenum", duodenum, [12.0, 12.0, 12.0, 10.0], ripple=0.8, gas=False)
    for name, points in (("ascending", ascending), ("descending", descending), ("across", across)):
        bore_mm = {"ascending": 22.0, "descending": 16.0, "across": 19.0}[name]
        _paint_gut(scene, name, points, [bore_mm] * len(points), ripple=1.8, gas=True)


def _paint_gut(
    scene: Scene, name: str, points: list[Point], radii: list[float], *, ripple: float, gas: bool
) -> None:
    """Paint one stretch of gut: wall, content, and for the colon folds and pockets of gas."""
    frame, canvas, values = scene.frame, scene.canvas, scene.values
    box = frame.around(points, max(radii))
    if box is None:
        return
    distance = tube(frame, box, points, radii)
    if ripple:
        distance += scene.ripple(f"{name} folds", box, ripple, 16.0, 34.0)
    distance = np.maximum(distance, scene.cavity[box] + np.float32(3.0))
    canvas.paint(L.FAT, box, distance - np.float32(1.5 * scene.build.visceral), values["fat"])
    canvas.paint(L.BOWEL, box, distance, values["gut wall"])
    lumen = distance + np.float32(2.6)
    if not gas:
        canvas.paint(L.BOWEL, box, lumen, values["gut content"])
        return
    spread = 12.0 if scene.modality == "CT" else 0.07 * values["gut content"]
    canvas.paint(
        L.BOWEL, box, lumen, values["gut content"] + scene.ripple(f"{name} stool", box, spread, 7.0, 18.0, 12)
    )
    rng = stream(scene.subject.seed, f"{name} gas")
    for point, radius in zip(points, radii, strict=True):
        # Every pocket is drawn, whether or not the slice meets it.
        dx, dz, wide, high = rng.uniform((-8.0, -8.0, 0.35, 0.25), (8.0, 8.0, 0.85, 0.6))
        centre = (point[0] + dx, point[1] - 0.4 * radius, point[2] + dz)
        pocket = ellipsoid(frame, box, centre, (wide * radius, high * radius, 0.9 * radius))
        canvas.paint(L.AIR, box, np.maximum(pocket, lumen), values["air"])
