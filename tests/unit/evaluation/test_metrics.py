"""Metrics on photographs of 96 px: what each must say of pictures whose answer is known."""

from __future__ import annotations

import pytest
import torch

from impasto.evaluation.controls import CONTROLS
from impasto.evaluation.judge import judge_views
from impasto.evaluation.metric import installed_metrics
from impasto.evaluation.view import View, blur, shuffled, views
from impasto.images import read, resize


@pytest.fixture(scope="module")
def trio(photograph):
    """Output, content and style: the output has the content's shapes and half of the style's colours."""
    content, style = photograph("astronaut", 96, 128), photograph("coffee", 112, 144)
    mixed = (content.astype(int) // 2 + photograph("coffee", 96, 128).astype(int) // 2).astype("uint8")
    return views(read(mixed), read(content), [read(style)])


@pytest.fixture(scope="module")
def of(trio):
    """All figures of another output with the same content and style."""

    def figures(pixels):
        return judge_views(trio[0].with_pixels(pixels), trio[1], trio[2])

    return figures


@pytest.fixture(scope="module")
def as_content(trio):
    return judge_views(*CONTROLS["identity"](trio))


@pytest.fixture(scope="module")
def as_style(trio):
    return judge_views(*CONTROLS["style_copy"](trio))


def test_every_metric_of_the_content_itself_says_so(as_content) -> None:
    exact = {
        "style_gain": 0, "style_gain_efficientnet": 0, "style_gain_kept": 1, "style_distance": 1, "edge_style": 0,
        "content_distance": 0, "self_similarity": 0, "recognition": 1, "structure": 1, "edge_content": 1,
        "ssim": 1, "ms_ssim": 1, "visible_change": 0, "color_kept": 0, "color_cast": 0, "clipping": 0,
    }  # fmt: skip
    assert {name: as_content[name] for name in exact} == pytest.approx(exact, abs=2e-3)


def test_a_copy_of_the_style_has_its_style_and_nothing_of_the_content(as_style) -> None:
    assert as_style["style_gain"] > 0.8
    assert as_style["style_gain_efficientnet"] > 0.7
    assert as_style["edge_style"] > 0.8
    assert as_style["leak"] > 0.5
    assert as_style["style_distance"] < 0.3
    assert as_style["edge_content"] < 0.3
    assert as_style["recognition"] < 0.25
    assert as_style["structure"] < 0.5
    assert as_style["color_histogram"] < 0.2


def test_wrong_style_is_far_from_the_true_one(trio) -> None:
    output, content, other = CONTROLS["wrong_style"](trio)
    gain = installed_metrics()["style_gain"].function
    assert gain(output, content, other) < gain(*trio) - 0.2


@pytest.mark.parametrize(
    ("damage", "metric", "rises"),
    [
        ("noise", "noise_ratio", True),
        ("checkerboard", "checkerboard", True),
        ("blurred", "sharpness", False),
        ("cast", "color_cast", True),
        ("flat", "flatness", False),
        ("flat", "edge_content", False),
        ("flat", "recognition", False),
    ],
)
def test_damage_moves_the_metric_that_is_made_for_it(trio, damage: str, metric: str, rises: bool) -> None:
    function = installed_metrics()[metric].function
    before, after = function(*trio), function(*CONTROLS[damage](trio))
    assert after > before * 1.5 if rises else after < before * 0.9


def test_style_gain_rises_with_the_share_of_the_style_and_structure_falls(trio, of) -> None:
    covering = CONTROLS["style_copy"](trio)[0].pixels
    rows = [of(trio[1].pixels * (1 - share) + covering * share) for share in (0, 0.3, 0.6, 1)]
    for name, rises in (
        ("style_gain", True),
        ("style_gain_efficientnet", True),
        ("structure", False),
        ("edge_content", False),
    ):
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=not rises), name


def test_shuffling_the_style_leaves_its_style_and_takes_its_objects(trio, as_style, of) -> None:
    mixed = of(CONTROLS["shuffled_style"](trio)[0].pixels)
    assert mixed["style_gain"] > 0.1
    assert mixed["leak"] < as_style["leak"] / 2
    assert abs(mixed["edge_style"]) < 0.3


def test_structure_ignores_contrast_and_ssim_does_not(trio, of) -> None:
    faded = of(trio[1].pixels * 0.5 + 0.25)
    assert faded["structure"] > 0.9
    assert faded["edge_content"] > 0.99
    assert faded["ssim"] < 0.9


def test_a_step_across_the_picture_is_a_seam_and_the_contents_own_is_not(trio) -> None:
    seam = installed_metrics()["seam_ratio"].function
    pixels = trio[0].pixels.clone()
    pixels[..., 70:] = (pixels[..., 70:] - 0.15).clamp_min(0)
    stepped = trio[0].with_pixels(pixels)
    assert seam(stepped, trio[1], trio[2]) > 1.5 * seam(*trio)
    assert seam(stepped, stepped, trio[2]) < 1.5


def test_an_adversarial_change_of_four_levels_is_no_visible_change(trio) -> None:
    signs = torch.randint(0, 2, trio[1].pixels.shape, generator=torch.Generator().manual_seed(0)) * 2.0 - 1
    changed = trio[1].with_pixels(trio[1].pixels + 4 / 255 * signs)
    assert installed_metrics()["visible_change"].function(changed, trio[1], trio[2]) < 0.03


def test_clipping_counts_what_the_inputs_do_not_have(trio) -> None:
    clipping = installed_metrics()["clipping"].function
    pixels = trio[0].pixels.clone()
    pixels[..., :32] = 1
    white = trio[0].with_pixels(pixels)
    theirs = max(float((view.pixels.sum(1) % 3 == 0).float().mean()) for view in trio[1:])
    assert clipping(white, trio[1], trio[2]) == pytest.approx(0.25 - theirs, abs=0.02)
    assert clipping(white, white, trio[2]) == 0


def test_ms_ssim_of_a_picture_too_small_for_five_scales_uses_fewer(photograph) -> None:
    small = View(read(photograph("coffee", 40, 48)).pixels[None])
    softer = small.with_pixels(blur(small.pixels, 1))
    value = installed_metrics()["ms_ssim"].function(softer, small, small)
    assert 0.5 < value < 1


def test_shuffled_keeps_every_tile() -> None:
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    mixed = shuffled(pixels, 32, 1)
    assert not torch.equal(mixed, pixels)
    assert torch.equal(mixed.flatten().sort().values, pixels.flatten().sort().values)


def test_gray_views_show_networks_strokes_alone_and_other_figures_the_colours(photograph) -> None:
    content, style = read(photograph("astronaut", 64, 64)), read(photograph("coffee", 64, 64))
    faded = content.with_pixels(content.pixels * torch.tensor([0.5, 0.5, 0.5]).view(3, 1, 1) + 0.2)
    tinted = content.with_pixels(content.pixels * torch.tensor([1.0, 0.8, 0.6]).view(3, 1, 1))
    plain, gray = views(faded, content, [style]), views(faded, content, [style], gray=True)
    apart = [float((each[0].vgg["relu2_1"] - each[1].vgg["relu2_1"]).abs().mean()) for each in (plain, gray)]
    assert apart[1] < apart[0] / 5
    kept = installed_metrics()["color_kept"].function
    assert kept(*views(tinted, content, [style], gray=True)) == kept(*views(tinted, content, [style])) > 0.01


def test_views_of_several_styles_see_each_by_its_area(photograph) -> None:
    content, a, b = (read(photograph(name, 64, 64)) for name in ("astronaut", "coffee", "chelsea"))
    _, _, both = views(content, content, [a, b])
    assert both.pixels.shape == (1, 3, 64, 128)
    assert torch.allclose(both.pixels[..., :64], resize(a.pixels[None], 64, 64), atol=1 / 255)


@pytest.mark.parametrize("size", [(32, 4000), (4000, 32)])
def test_ms_ssim_of_a_very_long_picture_is_defined(size) -> None:
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    long = View(pixels)
    assert installed_metrics()["ms_ssim"].function(long, long, long) == pytest.approx(1, abs=1e-4)
