"""Put files of the model into the package, and their hashes into its manifest."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ASSETS = Path(__file__).parents[1] / "src" / "petechia" / "assets" / "data"
CARD = "detector_card.json"
SOURCE = (
    "training/shortlist.py, fit.py, counts.py and refine.py on simulated scans (training/README.md)"
)


def put(name: str, file: str, content: bytes | None, source: str) -> None:
    """Write a file and its row of the manifest; without content take both away."""
    manifest = ASSETS / "MANIFEST.toml"
    text = manifest.read_text(encoding="utf-8")
    text = re.sub(rf"\n\[{name}\]\n(?:[^\[\n].*\n)*", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text)
    if content is not None:
        (ASSETS / file).write_bytes(content)
        text = text.rstrip("\n") + (
            f'\n\n[{name}]\nfile = "{file}"\n'
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"\nbytes = {len(content)}\n'
            f'licence = "LICENSES/Apache-2.0.txt"\nsource = "{source}"\n'
        )
    manifest.write_text(text, encoding="utf-8")


def put_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write all arrays of the model but the network's."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    put("detector", "detector.npz", content.getvalue(), SOURCE)


def put_card(card: Mapping[str, Any], source: str = SOURCE) -> None:
    """Write the model's card."""
    content = (json.dumps(card, indent=1) + "\n").encode()
    put("detector_card", CARD, content, source)
