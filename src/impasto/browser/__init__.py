"""Painting in the browser with engine fast: the scripts of a page, its worker, and ONNX Runtime Web.

Two doors serve them: ``impasto live`` on a page of its own, and the service's studio.
"""

from importlib.resources import files
from typing import Final

#: What the worker and ONNX Runtime's own threads may do: compile WebAssembly, and fetch nothing from elsewhere.
WORKER_POLICY: Final = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'"

#: Browsers give a page the shared memory that WebAssembly's threads need only if it is isolated from every other page.
ISOLATED: Final = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

SCRIPTS: Final = ("app.js", "worker.js")


def script(name: str) -> bytes:
    """One of :data:`SCRIPTS`."""
    return files("impasto.browser").joinpath(name).read_bytes()
