"""The abdomen, painted back to front.

Positions are those of a standard supine adult in mm: x to the patient's left, y to the back,
z to the head, z = 0 near the renal hila (L1).
"""

from synthesis.phantoms import trunk, viscera
from synthesis.phantoms.liver import paint_liver
from synthesis.phantoms.scene import Scene

__all__ = ["paint_abdomen"]


def paint_abdomen(scene: Scene) -> None:
    """Paint every structure onto the scene's canvas; what comes later covers what came before."""
    trunk.paint_trunk(scene)
    trunk.paint_ribs(scene)
    viscera.paint_ascites(scene)
    viscera.paint_bowel(scene)
    viscera.paint_stomach(scene)
    viscera.paint_spleen(scene)
    viscera.paint_pancreas(scene)
    paint_liver(scene)
    viscera.paint_gallbladder(scene)
    viscera.paint_kidneys(scene)
    trunk.paint_psoas(scene)
    trunk.paint_spine(scene)
    viscera.paint_great_vessels(scene)
    viscera.paint_lungs(scene)
