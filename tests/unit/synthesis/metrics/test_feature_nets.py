"""Feature networks: the shipped judge, and the users' weights in the layouts of their authors.

The layouts are built here with random weights; no published file was at hand.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import resnet10, resnet50
from safetensors.torch import save_file

from synthesis.errors import SynthesisError
from synthesis.metrics.feature_nets import judge_features
from synthesis.metrics.foreign_nets import load_med3d, load_radimagenet
from synthesis.metrics.judges import load_judges

JUDGES = Path(__file__).parents[4] / "weights" / "judges"
CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
PLAIN = {"feed_forward": False, "shortcut_type": "B", "bias_downsample": False}


@pytest.fixture(scope="module")
def slices_net():
    torch.manual_seed(0)
    return resnet50(spatial_dims=2, n_input_channels=3, **PLAIN).eval()


def as_radimagenet(network):
    """RadImageNet publishes nn.Sequential(*children of torchvision's ResNet-50), named `backbone`."""
    renamed = {}
    for key, value in network.state_dict().items():
        child, _, rest = key.partition(".")
        renamed[f"backbone.{CHILDREN.index(child)}.{rest}"] = value
    return renamed


def test_the_shipped_judge_names_itself():
    if not (JUDGES / "judges.json").is_file():
        pytest.skip("the judges' weights are not here")
    judges = load_judges(JUDGES)
    images = np.random.default_rng(0).normal(size=(3, 64, 64)).astype(np.float32)
    found = judge_features(judges, images, np.array([0, 1, 2]))
    assert found.values.shape == (3, judges.features.width)
    assert (
        found.source.weights_sha256
        == hashlib.sha256((JUDGES / "features.safetensors").read_bytes()).hexdigest()
    )


def test_radimagenet_is_read_in_its_own_layout(slices_net, tmp_path):
    path = tmp_path / "ResNet50.pt"
    torch.save(as_radimagenet(slices_net), path)
    net = load_radimagenet(path)
    images = np.random.default_rng(0).random((2, 224, 224)).astype(np.float32)
    shown = torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1)
    shown -= torch.tensor([0.406, 0.456, 0.485])[None, :, None, None]
    found = net.describe(images)
    np.testing.assert_allclose(found.values, slices_net(shown).detach(), rtol=1e-4, atol=1e-5)
    assert found.values.shape == (2, 2048)
    assert found.source.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_torchvisions_own_names_are_read_too(slices_net, tmp_path):
    save_file(slices_net.state_dict(), tmp_path / "radimagenet.safetensors")
    images = np.zeros((1, 32, 48), np.float32)
    assert load_radimagenet(tmp_path / "radimagenet.safetensors").describe(images).values.shape == (1, 2048)


@pytest.mark.parametrize(("kind", "width"), [(resnet10, 512), (resnet50, 2048)])
def test_med3d_is_read_in_its_own_layout(kind, width, tmp_path):
    torch.manual_seed(0)
    network = kind(spatial_dims=3, n_input_channels=1, **PLAIN).eval()
    held = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": held | {"module.conv_seg.0.weight": torch.zeros(1)}}, tmp_path / "resnet.pth")
    volumes = 100 + 20 * np.random.default_rng(0).normal(size=(2, 16, 32, 32)).astype(np.float32)
    found = load_med3d(tmp_path / "resnet.pth").describe(volumes)
    volume = torch.from_numpy(volumes[1])
    scaled = ((volume - volume.mean()) / volume.std())[None, None]
    assert found.values.shape == (2, width)
    np.testing.assert_allclose(found.values[1], network(scaled)[0].detach(), rtol=1e-3, atol=1e-4)
    assert f"Med3D ResNet-{10 if width == 512 else 50}" == found.source.net


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "trap.pt"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SynthesisError, match="not a file of tensors"):
        load_radimagenet(path)
    torch.save({"a": Trap()}, path)
    with pytest.raises(SynthesisError, match="not a file of tensors"):
        load_med3d(path)
    assert not (tmp_path / "ran").exists()


def test_other_files_are_named(tmp_path):
    with pytest.raises(SynthesisError, match="no weights file"):
        load_radimagenet(tmp_path / "nothing.pt")
    torch.save({"backbone.0.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pt")
    with pytest.raises(SynthesisError, match="is missing"):
        load_radimagenet(tmp_path / "part.pt")
    torch.save({"backbone.0.weight": torch.zeros(8, 1, 7, 7)}, tmp_path / "small.pt")
    with pytest.raises(SynthesisError, match="other shapes"):
        load_radimagenet(tmp_path / "small.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(SynthesisError, match="no state_dict"):
        load_med3d(tmp_path / "list.pt")
