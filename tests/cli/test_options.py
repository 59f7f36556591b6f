"""What is typed arrives as the settings mean it."""

import pytest

from impasto.cli.options import given_settings
from impasto.settings import OptimizeSettings


def settings(**values: str) -> OptimizeSettings:
    everything = dict.fromkeys(OptimizeSettings.model_fields) | values
    return OptimizeSettings.of(**given_settings(OptimizeSettings, everything))


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("image_size", "256", 256),
        ("style_weights", "1, 0.5", (1.0, 0.5)),
        ("scales", "128,256", (128, 256)),
        ("scales", "128", (128,)),
        ("layers", "relu1_1,relu4_1=0.5", {"relu1_1": 1.0, "relu4_1": 0.5}),
        ("content_weight", "1e-3", 0.001),
        ("init", "a,b.png", "a,b.png"),
        ("time_budget", "1.5", 1.5),
        ("pooling", "l2", "l2"),
        ("bit_depth", "16", 16),
        ("style_rotation", "0,-90", (0.0, -90.0)),
        ("style_loss", "w2,nn=0.5", {"w2": 1.0, "nn": 0.5}),
    ],
)
def test_option_arrives_as_its_setting(name: str, typed: str, meant: object) -> None:
    assert getattr(settings(**{name: typed}), name) == meant


def test_option_that_is_left_out_is_not_set() -> None:
    assert settings(steps="3").model_fields_set == {"steps"}
