"""What ``import impasto`` promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import impasto
from impasto import errors


def test_public_names_are_sorted_and_importable() -> None:
    assert impasto.__all__ == sorted(set(impasto.__all__))
    for name in impasto.__all__:
        assert getattr(impasto, name).__name__ == name
    assert set(impasto.__all__) <= set(dir(impasto))


def test_public_names_hold_every_error() -> None:
    found = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert found <= set(impasto.__all__)


def test_errors_are_one_tree_with_exit_codes() -> None:
    for name in impasto.__all__:
        value = getattr(impasto, name)
        if isinstance(value, type) and issubclass(value, Exception) and value is not impasto.Cancelled:
            assert issubclass(value, impasto.ImpastoError)
            assert value.exit_code == (2 if issubclass(value, impasto.InputError) else 1)


def test_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'stylise'"):
        _ = impasto.stylise


def test_import_is_light() -> None:
    program = "import sys, impasto; assert not {'torch', 'numpy', 'PIL', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_settings_and_errors_do_not_need_torch() -> None:
    """The command line shows its help from them."""
    program = "import sys, impasto; impasto.OptimizeSettings, impasto.SettingsError, impasto.Recipe; \
assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
