"""What every painter needs: the canvas, the subject, the attributes and the tissue values."""

from dataclasses import dataclass

from synthesis.phantoms.attributes import Attributes
from synthesis.phantoms.canvas import Canvas
from synthesis.phantoms.pathology import SHAPE_GRADES, ShapeGrade
from synthesis.phantoms.shapes import Box, Field, Frame, Waves
from synthesis.phantoms.streams import stream
from synthesis.phantoms.subject import Build, Subject

__all__ = ["Scene"]


@dataclass(frozen=True)
class Scene:
    """One phantom being painted.

    values: tissue name to HU or signal. cavity: distance to the wall of the abdominal cavity on
    the whole grid, in the standard body's mm, negative inside.
    """

    canvas: Canvas
    subject: Subject
    build: Build
    attributes: Attributes
    modality: str
    values: dict[str, float]
    cavity: Field

    @property
    def frame(self) -> Frame:
        return self.canvas.frame

    @property
    def cirrhosis(self) -> ShapeGrade:
        return SHAPE_GRADES[self.attributes.severity_shape]

    def ripple(
        self, name: str, box: Box, gain: float, shortest: float, longest: float, count: int = 5
    ) -> Field:
        """Return this subject's smooth unevenness called `name` inside a box, with sd `gain`."""
        rng = stream(self.subject.seed, name)
        return self.frame.waves(
            Waves.draw(rng, gain=gain, shortest=shortest, longest=longest, count=count), box
        )

    def jitter(self, name: str, *, sd: float, size: int) -> list[float]:
        """Return `size` normal draws of standard deviation `sd` that belong to `name`."""
        return [float(v) for v in stream(self.subject.seed, name).normal(0.0, sd, size=size)]
