"""Paint the house styles: python examples/house_styles/make.py [NAME ...] [--out DIR] [--seed N]."""

import argparse
import importlib
import sys
import time
from pathlib import Path

from PIL import ImageFile

#: Where impasto keeps the styles that come with it.
HOUSE = Path(__file__).resolve().parents[2] / "src" / "impasto" / "styles" / "house"
NAMES = (
    "flow_strokes",
    "pointillism",
    "ink_hatching",
    "stained_glass",
    "woodcut_waves",
    "watercolour",
    "palette_knife",
    "mosaic",
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Paint the house styles as JPEG files.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to paint (default: all): {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, default=HOUSE, help="folder for the pictures (default: the package's)")
    parser.add_argument("--seed", type=int, default=0, help="another seed places every stroke anew (default: 0)")
    parser.add_argument("--size", default="1024x768", help="width x height in pixels (default: 1024x768)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no house style named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    try:
        width, height = (int(side) for side in options.size.lower().split("x"))
    except ValueError:
        parser.error(f"--size takes WIDTHxHEIGHT, such as 1024x768, not {options.size!r}")

    # An optimised JPEG is written in one go, and paint this busy outgrows the buffer Pillow sets aside.
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 3 * width * height)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or NAMES:
        began = time.perf_counter()
        picture = importlib.import_module(name).render(options.seed, width, height)
        target = options.out / f"{name}.jpg"
        picture.save(target, quality=92, subsampling="4:4:4", optimize=True)
        print(f"{target}  {target.stat().st_size // 1024} KiB  {time.perf_counter() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
