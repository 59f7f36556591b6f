"""What `make demo` runs: a photo that scikit-image ships (CC0), painted in one of the house styles."""

from pathlib import Path

from PIL import Image
from skimage import data

import impasto

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    photo = out / "photo.png"
    Image.fromarray(data.coffee()).save(photo)

    def show(progress: impasto.Progress) -> None:
        if progress.step in (1, progress.steps):
            size = f"{progress.width}x{progress.height}"
            print(f"scale {progress.scale}/{progress.scales}  {size:>9}  loss {progress.loss:.3f}", flush=True)

    result = impasto.stylize(photo, "flow_strokes", image_size=384, on_progress=show)
    written = result.save(out / "demo.png")
    print(f"\nThe photo is  {photo}\nThe result is {written}")


if __name__ == "__main__":
    main()
