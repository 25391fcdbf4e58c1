"""Make one file of a model from elsewhere, to start a training from: `python -m training.pack PATH OUT`.

PATH is a folder of diffusers (model_index.json) or a single .safetensors file; what it does not say (name,
licence, size, what -1 and 1 mean) stands in a small YAML, `--about` or semblance.yaml beside it, as in
docs/backbones.md. Pickles are never opened. `manage.py install_model` does the same on the way into the
application.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from synthesis.errors import SynthesisError
from synthesis.foreign_models.about import ABOUT_FILE, read_about
from synthesis.foreign_models.convert import Converted, convert


def pack(path: Path, out: Path, about: Path | None = None) -> Converted:
    """Write out/model.safetensors and out/card.md; SynthesisError, in a plain sentence, where it cannot."""
    told = about or (path if path.is_dir() else path.parent) / ABOUT_FILE
    if not told.is_file():
        raise SynthesisError(f"There is no {told} to say what the model's files do not. Name one: --about.")
    if (out / "model.safetensors").exists():
        raise SynthesisError(f"{out} holds a model already; name another folder.")
    return convert(path, out, read_about(told.read_text(encoding="utf-8"), told.parent))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="folder or .safetensors file")
    parser.add_argument("out", type=Path, help="folder to write, such as weights/stable-diffusion")
    parser.add_argument("--about", type=Path, help="YAML with what the files do not say")
    options = parser.parse_args()
    try:
        done = pack(options.path, options.out, options.about)
    except SynthesisError as problem:
        raise SystemExit(str(problem)) from problem
    for note in done.notes:
        print(note)
    print(f"{done.family} in {done.folder}, SHA-256 {done.digest}")


if __name__ == "__main__":
    main()
