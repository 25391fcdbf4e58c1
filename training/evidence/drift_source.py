"""The model that the evidence on drift fine-tunes: a small Stable Diffusion 1.x that learned from clothes.

The classes, the schedule and the scaling of latents are Stable Diffusion's; the sizes are not. Its schedule
ends at sqrt(alpha_bar_T) = 0.068, so that sampling starts from a mean that training never saw: what drift is
about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from synthesis.backbones.stable_diffusion import Options, StableDiffusion
from synthesis.checkpoints import save_model
from synthesis.components import config_of
from synthesis.control.text import padded_tokenizer, read_tokenizer, token_numbers
from synthesis.phantoms.labels import LABEL_SET
from training.ema import PowerEma
from training.evidence.drift_autoencoder import CHANNELS, FACTOR, Autoencoder, encode, learn
from training.evidence.drift_sets import CLOTHES, SIDE, Pictures

LENGTH = 48  # tokens of every prompt
WIDTH = 64  # of a token
START, END, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
CAPTIONS = ("a photo of a {}", "a picture of a {}", "a grey photo of a {}", "a {}")
MEDICAL = (  # words that the tokenizer shall know whole, as CLIP's does; the source never reads them
    "a cardiac MRI",
    "short-axis cardiac MR image of the heart",
    "a chest X-ray of a 63-year-old woman with pneumonia",
    "frontal chest radiograph, man, no finding, healthy, normal lungs",
    "heart failure with infarct",
    "heart failure without infarction",
    "hypertrophy",
    "an old patient, young adult, middle-aged person, elderly, child, female, male, years, age, sex, "
    "diagnosis, photo, image, scan, medical, showing, aged",
)
UNSTATED = 0.1  # share of a batch whose prompt is empty, as in Rombach et al. 2022
BATCH = 32
RATE = 1e-3
EMA = 12.0
NETWORK: dict[str, Any] = {
    "sample_size": SIDE // FACTOR,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (48, 96, 128),
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}


def captions() -> list[str]:
    """Every caption of the source."""
    return [text.format(cloth) for text in CAPTIONS for cloth in CLOTHES]


def new_tokenizer(corpus: Sequence[str], *, length: int = LENGTH) -> str:
    """CLIP's kind of tokenizer (byte pairs, lower case, digits one by one) learned from a corpus, as JSON."""
    made = Tokenizer(BPE(unk_token=UNKNOWN, end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,-:;()'/%<>*"]
    made.train_from_iterator(
        [*corpus, *letters, " ".join(letters)],
        BpeTrainer(
            vocab_size=1024,
            special_tokens=[END, START, UNKNOWN],
            initial_alphabet=letters,
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    made.post_processor = TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(one, made.token_to_id(one)) for one in (START, END)]
    )
    return padded_tokenizer(made.to_str(), length=length, pad=END)


def new_network(
    autoencoder: Autoencoder, tokenizer: str, network: dict[str, Any] | None = None, *, seed: int = 0
) -> StableDiffusion:
    """Fresh weights around a trained autoencoder."""
    words = read_tokenizer("tokenizer", tokenizer)
    torch.manual_seed(seed)
    text = CLIPTextConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=int((words.truncation or {})["max_length"]),
        projection_dim=WIDTH,
        bos_token_id=words.token_to_id(START),
        eos_token_id=words.token_to_id(END),
        pad_token_id=words.token_to_id(END),
    )
    parts: dict[str, Any] = {
        "unet": UNet2DConditionModel(**(network or NETWORK)),
        "vae": autoencoder,
        "text_encoder": CLIPTextModel(text),
    }
    options = Options(components={name: config_of(part) for name, part in parts.items()})
    made = StableDiffusion(options)
    for name, part in parts.items():
        made.add_module(name, part)
    made.use_tokenizers({"tokenizer": tokenizer})
    return made


class Learner(nn.Module):
    """The parts of a network that learn from the source: U-Net and text encoder together."""

    def __init__(self, network: StableDiffusion) -> None:
        super().__init__()
        self.unet: Any = network.get_submodule("unet")
        self.text: Any = network.get_submodule("text_encoder")

    def forward(self, y: Tensor, step: Tensor, numbers: Tensor) -> Tensor:
        tokens = self.text(numbers)[0]
        answer: Tensor = self.unet(y, step, encoder_hidden_states=tokens, return_dict=False)[0]
        return answer


class Examples(NamedTuple):
    """What one step learns from: latents [B, C, h, w], prompts as token numbers [B, L].

    weight [B, 1, h, w]: how much an error counts where; None: everywhere alike.
    """

    latents: Tensor
    numbers: Tensor
    weight: Tensor | None = None


def even_steps(generator: torch.Generator, count: int, of: int) -> Tensor:
    """Steps of the schedule [count], each of the `of` as likely as any other."""
    return torch.randint(0, of, (count,), generator=generator)


def train_source(
    network: StableDiffusion,
    clothes: Pictures,
    kinds: Sequence[int],
    steps: int,
    folder: Path,
    *,
    seed: int = 0,
    batch: int = BATCH,
) -> None:
    """The network learns clothes and their captions. They are mirrored at random."""
    vae: Autoencoder = network.get_submodule("vae")
    factor = float(vae.config["scaling_factor"])
    latents = torch.stack([encode(vae, one) for one in (clothes, clothes[:, :, ::-1].copy())]) * factor
    words = read_tokenizer("tokenizer", network.tokenizers["tokenizer"])
    numbers = token_numbers(words, ["", *captions()])[0]

    def examples_at(rng: np.random.Generator) -> Examples:
        which, mirrored = rng.integers(0, len(clothes), batch), rng.integers(0, 2, batch)
        told = 1 + rng.integers(0, len(CAPTIONS), batch) * len(CLOTHES) + np.asarray(kinds)[which]
        told[rng.random(batch) < UNSTATED] = 0
        return Examples(latents[mirrored, which], numbers[torch.from_numpy(told)])

    learn_words(network, examples_at, steps, folder / "source.pt", seed=seed)


def learn_words(
    network: StableDiffusion,
    examples_at: Callable[[np.random.Generator], Examples],
    steps: int,
    checkpoint: Path,
    *,
    seed: int = 0,
    rate: float = RATE,
    steps_at: Callable[[torch.Generator, int, int], Tensor] = even_steps,
    text_learns: bool = True,
) -> None:
    """E w |eps(y_k, k, caption) - n|^2, k as `steps_at` draws it; goes on from `checkpoint`.

    U-Net and, unless told otherwise, text encoder learn, the autoencoder does not move. The network is left
    with the averaged weights.
    """
    bars = torch.from_numpy(network.schedule.alpha_bars).float()
    learner = Learner(network).requires_grad_(True)
    learner.text.requires_grad_(text_learns)
    ema = PowerEma(learner, EMA, trained_only=True)
    learned = [one for one in learner.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.99), weight_decay=0.01)

    def loss_at(step: int) -> Tensor:
        x, numbers, weight = examples_at(np.random.default_rng((seed, step)))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        n = torch.randn(x.shape, generator=generator)
        k = steps_at(generator, len(x), len(bars))
        a = bars[k][:, None, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answer = learner(a.sqrt() * x + (1 - a).sqrt() * n, k, numbers)
        error = (answer.float() - n).square()
        return error.mean() if weight is None else (weight * error).mean()

    learn(learner, optimiser, loss_at, steps, checkpoint, rate=rate, ema=ema)
    learner.load_state_dict(ema.state_dict(), strict=False)
    network.eval().requires_grad_(False)


def save_source(network: StableDiffusion, folder: Path) -> str:
    """Pack it as any installed Stable Diffusion is, 64 x 64, -1..1 as it is; the digest is returned."""
    scale = {"units": [-1.0, 1.0], "scaled": [-1.0, 1.0]}
    recipe = {
        "name": "drift-source",
        "title": "Stable Diffusion's classes at a small size, trained on photos of clothes",
        "version": "1.0",
        "modalities": ["CT", "T1", "T2"],
        "image": {"rows": SIDE, "columns": SIDE, "normalisation": dict.fromkeys(("CT", "T1", "T2"), scale)},
        "labels": {str(label.value): label.name for label in LABEL_SET},
        "calibration": {},
    }
    return save_model(folder, network, recipe)
