"""BARTScore beside the published algorithm (batch 4, as its authors call it) on a models × repeats workload.

Every source is scored with many targets of mixed lengths, in random order, by a random-weight BART: speed and equality
do not depend on what the weights know. Prints one JSON line with wall and CPU time (the ratio of CPU times is fair on a
busy machine with --threads 1). Goals: at least 4 times as fast, difference at most 1e-4.

    python -m benchmarks.bartscore [--device cuda] [--layers 6 --width 256 --vocabulary 12566] [--sources 5 --targets 20]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import ByteLevelBPETokenizer, processors
from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from collector.quality.bartscore import BartScorer
from collector.suite import load_suite

_SOURCE_WORDS, _TARGET_WORDS = (45, 680), (18, 180)  # about 60-900 and 25-250 tokens


def _checkpoint(folder: Path, layers: int, width: int, vocabulary: int) -> None:
    """A random BART of the given size, with a byte-level tokenizer trained on the suite."""
    torch.manual_seed(7)
    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator(_texts(), vocab_size=2000, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    raw._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=raw._tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    config = BartConfig(
        vocab_size=vocabulary, d_model=width, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=width // 64, decoder_attention_heads=width // 64, encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(folder)


def _texts() -> list[str]:
    return [text for item in load_suite().select(languages=["en"]).items for text in item.references]


def _workload(sources: int, targets: int) -> list[tuple[str, str]]:
    """Sources of all lengths, each with its targets, shuffled as answers come."""
    draw = random.Random(11)
    words = " ".join(_texts()).split()

    def text(low: int, high: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(low, high)))

    pairs = [
        (source, text(*_TARGET_WORDS))
        for source in (text(*_SOURCE_WORDS) for _ in range(sources))
        for _ in range(targets)
    ]
    draw.shuffle(pairs)
    return pairs


class _Published:
    """neulab/BARTScore, ``BARTScorer.score``: batches in the caller's order, labels through the model's own loss path."""

    def __init__(self, folder: Path, device: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = BartForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).to(device).eval()
        self.device = device
        self.pad = self.model.config.pad_token_id
        self.loss = torch.nn.NLLLoss(reduction="none", ignore_index=self.pad)

    @torch.no_grad()
    def score(self, sources: list[str], targets: list[str], batch_size: int = 4) -> list[float]:
        found: list[float] = []
        for at in range(0, len(sources), batch_size):
            encoded, wanted = (
                self.tokenizer(part[at : at + batch_size], max_length=1024, truncation=True, padding=True, return_tensors="pt")
                .to(self.device)
                for part in (sources, targets)
            )  # fmt: skip
            labels = wanted["input_ids"]
            output = self.model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels)
            log_probs = torch.log_softmax(output.logits, dim=2).view(-1, output.logits.shape[-1])
            loss = self.loss(log_probs, labels.view(-1)).view(labels.shape[0], -1)
            found += (-loss.sum(dim=1) / wanted["attention_mask"].sum(dim=1)).tolist()
        return found


class _Timed(NamedTuple):
    wall_s: float
    cpu_s: float
    scores: list[float]


def _timed(device: str, work: Callable[[], list[float]]) -> _Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    scores = work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return _Timed(time.perf_counter() - wall, time.process_time() - cpu, scores)


def main() -> None:
    """Runs both and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    for name, value in (("layers", 6), ("width", 256), ("vocabulary", 12566), ("sources", 5), ("targets", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, help="CPU threads; 1 for a fair CPU time on a busy machine")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers_logging.disable_progress_bar()
    pairs = _workload(options.sources, options.targets)
    sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _checkpoint(folder, options.layers, options.width, options.vocabulary)
        ours, published = BartScorer(str(folder), device=options.device), _Published(folder, options.device)
        warm = sources[:4], targets[:4]
        ours.score(*warm)
        published.score(*warm)
        mine = _timed(options.device, lambda: ours.score(sources, targets))
        theirs = _timed(options.device, lambda: published.score(sources, targets))
    print(json.dumps({
        "benchmark": "bartscore", "device": options.device, "layers": options.layers, "width": options.width,
        "vocabulary": options.vocabulary, "sources": options.sources, "targets_per_source": options.targets,
        "ours_s": round(mine.wall_s, 3), "published_batch_4_s": round(theirs.wall_s, 3),
        "ours_cpu_s": round(mine.cpu_s, 3), "published_batch_4_cpu_s": round(theirs.cpu_s, 3),
        "speedup": round(theirs.wall_s / mine.wall_s, 2), "speedup_cpu_time": round(theirs.cpu_s / mine.cpu_s, 2),
        "goal_speedup": 4, "max_difference": max(abs(a - b) for a, b in zip(mine.scores, theirs.scores, strict=True)),
        "goal_difference": 1e-4, "threads": torch.get_num_threads(), "torch": torch.__version__,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
