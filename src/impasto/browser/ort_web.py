"""ONNX Runtime Web, which the page of ``impasto live`` computes with: where it lies, and how it gets there when asked.

Its WebAssembly is several times as large as impasto, so it does not come with the install. It is the npm package
onnxruntime-web (MIT), of one version, checked against the SHA-512 that is written here, and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from impasto.errors import InputError, MissingExtraError, OutputError
from impasto.whole import write_whole

PACKAGE: Final = "onnxruntime-web"
VERSION: Final = "1.30.0"
#: Of the package's file, as the npm registry states it.
SHA512: Final = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)

#: What of it the page uses: on the CPU, and on the GPU (WebGPU).
CPU_FILES: Final = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
GPU_FILES: Final = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
FILES: Final = (*CPU_FILES, *GPU_FILES)

_DOWNLOAD_S: Final = 600.0
_LARGEST_BYTES: Final = 256 * 2**20
_REMEDY: Final = (
    f"run `impasto live --download`, or get the npm package {PACKAGE} {VERSION} yourself and name its file or folder "
    "with --ort"
)


def cached_runtime() -> Path:
    """The folder in the user's cache where the runtime lies once it has been downloaded."""
    return user_cache_path("impasto") / f"{PACKAGE}-{VERSION}"


def find_runtime(given: Path | None = None) -> Path:
    """The folder with the runtime's files; no network is used.

    Args:
        given: a folder with them, the package's own folder, or its ``.tgz`` file, which is checked and unpacked into
            the cache; None: the cache.

    Raises:
        InputError: they are not there, or the file is not the one expected.
        OutputError: the cache cannot be written.
    """
    if given is not None and given.is_file():
        return _unpack(given, cached_runtime())
    folders = [cached_runtime()] if given is None else [given, given / "dist"]
    for folder in folders:
        if all((folder / name).is_file() for name in FILES):
            return folder
    if given is None:
        raise InputError(f"the page needs ONNX Runtime Web, which is not in the cache; {_REMEDY}")
    missing = next(name for name in FILES if not (given / name).is_file())
    raise InputError(f"{str(given)!r} does not hold {missing}; give the folder dist of {PACKAGE} {VERSION}")


def download_runtime() -> Path:
    """The folder with the runtime's files, downloaded with npm if they are not in the cache yet (33 MB).

    Raises:
        MissingExtraError: npm is not installed.
        InputError: it could not be downloaded, or is not the file expected.
        OutputError: the cache cannot be written.
    """
    folder = cached_runtime()
    if all((folder / name).is_file() for name in FILES):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            "--download needs npm, which is not installed; install it, or get the npm package "
            f"{PACKAGE} {VERSION} elsewhere and name its file with --ort"
        )
    with tempfile.TemporaryDirectory(prefix="impasto-") as place:
        # npm's own settings say where from, so mirrors and proxies work; the checksum makes the source irrelevant.
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--pack-destination", place]
        try:
            subprocess.run(command, cwd=place, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_S)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise InputError(
                f"npm could not download {PACKAGE} {VERSION} ({lines[-1] if lines else 'no reason given'}); "
                "try again, or name its file with --ort"
            ) from None
        return _unpack(Path(place) / f"{PACKAGE}-{VERSION}.tgz", folder)


def _unpack(package: Path, folder: Path) -> Path:
    """The files that are used, from the package's file into a folder."""
    try:
        if package.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{package.name} is too large to be {PACKAGE} {VERSION}; {_REMEDY}")
        with package.open("rb") as file:
            found = hashlib.file_digest(file, "sha512").hexdigest()
            if found != SHA512:
                raise InputError(
                    f"{package.name} has SHA-512 {found[:16]}…, but {PACKAGE} {VERSION} has {SHA512[:16]}…; {_REMEDY}"
                )
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                contents = {name: archive.extractfile(f"package/dist/{name}") for name in FILES}
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise OutputError(
                        f"cannot make {str(folder)!r}: {error.strerror or error}; free some space or name a folder "
                        "with --ort"
                    ) from None
                for name, content in contents.items():
                    assert content is not None  # noqa: S101 — of a file whose checksum is right
                    write_whole(folder / name, content.read())
    except OSError as error:
        raise InputError(f"cannot read {str(package)!r}: {error.strerror or error}; {_REMEDY}") from None
    return folder
