"""How far a picture that was saved again lies from itself, and how near another painting of the same photo comes.

    python benchmarks/fingerprint.py

Chose the thresholds in impasto/provenance/fingerprint.py. Pictures are scikit-image's, painted and not.
"""

import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import skimage.data
from PIL import Image

import impasto
from impasto.images import Picture, read
from impasto.provenance.fingerprint import Fingerprint, fingerprint

PHOTOS = ("astronaut", "camera", "chelsea", "coffee", "coins", "page", "rocket")
STYLES = ("flow_strokes", "mosaic", "pointillism", "watercolour", "woodcut_waves")
STRENGTHS = (1.0, 0.9, 0.8, 0.5)
SIDES_PX = (96, 256)


def signs(one: Fingerprint, other: Fingerprint) -> int:
    return (int.from_bytes(one.signs) ^ int.from_bytes(other.signs)).bit_count()


def saved_again(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    kinds = (("JPEG", 95), ("JPEG", 75), ("JPEG", 40), ("WEBP", 60), ("AVIF", 50))
    for kind, quality in kinds:
        kept = io.BytesIO()
        image.save(kept, kind, quality=quality)
        yield f"{kind} {quality}", Image.open(kept)
    for factor in (0.75, 0.5, 0.25):
        small = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
        kept = io.BytesIO()
        small.save(kept, "JPEG", quality=75)
        yield f"x {factor}, JPEG 75", Image.open(kept)


def painted(side_px: int) -> dict[tuple[str, str, float], Picture]:
    """Paintings as they lie in files."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for photo in PHOTOS[:3]:
            for style, strength in itertools.product(STYLES, STRENGTHS):
                made = impasto.stylize(
                    getattr(skimage.data, photo)(), style, engine="fast", image_size=side_px, strength=strength
                )
                found[photo, style, strength] = read(made.save(Path(folder) / "a.png"))
    return found


def main() -> None:
    for side_px in SIDES_PX:
        pictures = painted(side_px)
        prints = {name: fingerprint(picture) for name, picture in pictures.items()}
        print(
            f"\n{side_px} px, {len(pictures)} paintings: most signs and levels that differ, and copies that are known"
        )
        rows: dict[str, list[tuple[int, float, bool]]] = {}
        for name, picture in pictures.items():
            levels = (picture.pixels * 255).round().byte().permute(1, 2, 0).numpy()
            for how, image in saved_again(Image.fromarray(levels)):
                again = fingerprint(read(image))
                mine = prints[name]
                rows.setdefault(how, []).append((signs(mine, again), mine.color_distance(again), mine.is_copy(again)))
        for how, found in rows.items():
            most_signs, most_levels = (max(one[index] for one in found) for index in (0, 1))
            print(f"  {how:18} {most_signs:4} {most_levels:6.2f}  {sum(one[2] for one in found)}/{len(found)}")
        others = [
            (signs(ours, theirs), ours.color_distance(theirs), ours.is_copy(theirs))
            for (_, ours), (_, theirs) in itertools.combinations(prints.items(), 2)
        ]
        nearest = min(levels for _, levels, _ in others)
        alike = [levels for count, levels, _ in others if count <= 16]
        print(f"  other paintings: {len(others)} pairs, {sum(one[2] for one in others)} taken for copies;")
        print(
            f"  fewest signs {min(one[0] for one in others)}, fewest levels {nearest:.2f}; of {len(alike)} pairs with"
        )
        print(f"  at most 16 signs the fewest levels are {min(alike, default=0):.2f}")


if __name__ == "__main__":
    main()
