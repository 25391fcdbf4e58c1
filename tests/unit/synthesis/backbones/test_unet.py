"""The U-Net: shapes, independence of the batch, and clear refusals."""

from dataclasses import replace

import pytest
import torch

from synthesis.backbones.unet import Options, UNet, time_features
from synthesis.paths import posterior_mean
from tests.factories_models import TINY


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = UNet(TINY).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().sum() == 0:
                parameter.normal_(0, 0.1)
    return network


def inputs(batch: int, rows: int = 32, columns: int = 48):
    generator = torch.Generator().manual_seed(batch)
    return (
        torch.randn(batch, 1, rows, columns, generator=generator),
        torch.rand(batch, generator=generator),
        torch.rand(batch, TINY.planes, rows, columns, generator=generator),
        torch.rand(batch, TINY.attributes, generator=generator),
    )


@torch.no_grad()
def test_velocity_has_the_shape_of_the_image(network):
    x, t, planes, attributes = inputs(2)
    assert network(x, t, planes, attributes).shape == x.shape


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other(network):
    x, t, planes, attributes = inputs(3)
    together = network(x, t, planes, attributes)
    alone = network(x[1:2], t[1:2], planes[1:2], attributes[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@torch.no_grad()
def test_one_time_for_all_is_allowed(network):
    x, _, planes, attributes = inputs(2)
    assert torch.equal(
        network(x, torch.tensor(0.3), planes, attributes),
        network(x, torch.tensor([0.3, 0.3]), planes, attributes),
    )


@torch.no_grad()
@pytest.mark.parametrize("which", range(4))
def test_every_input_matters(network, which):
    given = list(inputs(1))
    before = network(*given)
    given[which] = given[which] * 0.5 + 0.1
    assert not torch.allclose(before, network(*given), atol=1e-4)


def test_a_fresh_network_answers_zero():
    """The last layer starts at zero, so training starts from a velocity of zero, not from noise."""
    x, t, planes, attributes = inputs(1)
    assert UNet(TINY)(x, t, planes, attributes).abs().max() == 0


def test_times_differ_in_their_features():
    features = time_features(torch.tensor([0.0, 0.25, 1.0]), 16)
    assert features.shape == (3, 16)
    assert torch.cdist(features, features).fill_diagonal_(9).min() > 0.1


def test_sizes_that_do_not_fit_are_named(network):
    x, t, planes, attributes = inputs(1)
    with pytest.raises(ValueError, match="multiples of 4"):
        network(x[..., :30], t, planes[..., :30], attributes)
    with pytest.raises(ValueError, match="planes must be"):
        network(x, t, planes[:, :5], attributes)
    with pytest.raises(ValueError, match="groups"):
        Options(channels=(10,), blocks=(1,), attention=())
    with pytest.raises(ValueError, match="levels"):
        Options(channels=(8, 16), blocks=(1,))


@torch.no_grad()
def test_with_spans_a_fresh_network_is_the_velocity_it_was_to_the_last_bit(network):
    longer = UNet(replace(TINY, spans=True)).eval()
    found = longer.load_state_dict(network.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith("embed_span.") for name in found.missing_keys)
    given = inputs(2)
    for span in (None, torch.tensor(0.0), torch.tensor([0.25, 1.0])):
        assert torch.equal(longer(*given, span), network(*given))


@torch.no_grad()
def test_a_span_that_was_learned_matters_and_none_is_a_span_of_zero(network):
    torch.manual_seed(0)
    longer = UNet(replace(TINY, spans=True)).eval()
    for parameter in longer.parameters():
        if parameter.abs().sum() == 0:
            parameter.normal_(0, 0.1)
    given = inputs(2)
    assert torch.equal(longer(*given), longer(*given, torch.zeros(2)))
    assert not torch.allclose(longer(*given), longer(*given, torch.tensor(0.5)), atol=1e-4)


def test_a_network_without_spans_refuses_one(network):
    with pytest.raises(ValueError, match="velocity alone"):
        network(*inputs(1), torch.tensor(0.5))


@torch.no_grad()
def test_with_a_fresh_eye_for_an_image_it_answers_as_before_to_the_last_bit(network):
    seeing = UNet(replace(TINY, takes_image=True)).eval()
    found = seeing.load_state_dict(network.state_dict(), strict=False)
    assert set(found.missing_keys) == {"image_in.weight", "image_out.weight", "image_out.bias"}
    assert not found.unexpected_keys
    assert seeing.takes_image
    given = inputs(2)
    source = torch.randn(given[0].shape, generator=torch.Generator().manual_seed(9))
    for shown in (None, torch.zeros_like(source), source):
        assert torch.equal(seeing(*given, source=shown), network(*given))


@torch.no_grad()
def test_an_image_that_was_learned_to_be_seen_matters_and_zeros_show_none(network):
    seeing = UNet(replace(TINY, takes_image=True)).eval()
    seeing.load_state_dict(network.state_dict(), strict=False)
    given = inputs(2)
    source = torch.randn(given[0].shape, generator=torch.Generator().manual_seed(9))
    for part in (seeing.image_in, seeing.image_out):
        part.weight.normal_(0, 0.1)
        plain = seeing(*given)
        torch.testing.assert_close(seeing(*given, source=torch.zeros_like(source)), plain)
        assert not torch.allclose(seeing(*given, source=source), plain, atol=1e-3)
        part.weight.zero_()
    half = source.clone()
    half[1] = 0  # an item that is shown nothing beside one that is
    seeing.image_out.bias.fill_(0.3)
    torch.testing.assert_close(seeing(*given, source=half)[1:], seeing(*given)[1:])


@torch.no_grad()
def test_what_is_kept_of_the_image_and_what_is_added_to_it(network):
    """All kept and 0.25 added: the expected image is the one shown plus 0.25, whatever the state."""
    seeing = UNet(replace(TINY, takes_image=True)).eval()
    seeing.load_state_dict(network.state_dict(), strict=False)
    squared = TINY.patch**2
    seeing.image_out.bias.copy_(torch.tensor([1.0] * squared + [0.25] * squared))
    x, _, *told = inputs(2)
    source = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    for t in (torch.tensor([0.0, 0.9]), torch.tensor(0.5)):
        v = seeing(x, t, *told, source=source)
        torch.testing.assert_close(posterior_mean(x, v, t), source + 0.25, rtol=0, atol=1e-5)


def test_an_image_is_refused_by_a_network_that_sees_none_and_where_it_has_another_size(network):
    given = inputs(1)
    with pytest.raises(ValueError, match="shown no image"):
        network(*given, source=given[0])
    with pytest.raises(ValueError, match="source must be"):
        UNet(replace(TINY, takes_image=True))(*given, source=given[0][..., :32])
