"""Trains the two tokenizers on the language of the scenes, and writes them as FLUX.1's are laid out.

CLIP: byte-level BPE in OpenAI's order of ids: 256 bytes, the same ending a word, the merges, two specials.
T5: a SentencePiece unigram, in which whole words of the language win over pieces of them.
"""
from __future__ import annotations

import argparse
import collections
import json
import math
import pathlib
import random
import re
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from transformers import T5TokenizerFast

from .language import sample_lines

CLIP_TOKENS, T5_TOKENS = 77, 48
_MERGES = 766
_T5_PIECES, _T5_WORDS_UP_TO = 700, 640
_START, _END = "<|startoftext|>", "<|endoftext|>"
# Words that people use and the scenes do not; without them such a word would be spelt letter by letter.
_OTHER_WORDS = """please edit the picture photo image so that it shows what who where when why how
turn convert transform keep everything else the same but only this and that these those with without from into onto over under
a an the is are was were be been being has have had do does did will would can could should may might must
one two three four five six seven eight nine ten big small large tiny tall short new old young bright dark light
person man woman boy girl child dog horse bird fish tree house car street sky sun moon cloud rain water river lake mountain
background foreground lighting clothing face eyes mouth ears nose hand shirt dress coat shoes style painting drawing sketch cartoon watercolor
black gray silver gold golden cyan magenta teal violet colors colour beautiful cute funny friendly scary
replace remove add insert delete erase swap switch wear wearing sitting standing walking holding looking smiling laughing crying sleeping
spring summer autumn fall winter morning evening noon dusk dawn snowy sunny rainy cloudy foggy windy"""


def byte_letters() -> list[str]:
    """GPT-2's printable letter of each byte, listed in the vocabulary's order (printable bytes first)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + k) for k in range(256 - len(printable))]


def _joined(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    k = 0
    while k < len(word):
        both = word[k:k + 2] == pair
        out.append("".join(pair) if both else word[k])
        k += 2 if both else 1
    return tuple(out)


def learn_merges(lines: list[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first; ASCII letters are their own byte letters."""
    found = collections.Counter(w for line in lines for w in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", line.lower()))
    words = {(*w[:-1], w[-1] + "</w>"): n for w, n in found.items() if w.isascii()}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: collections.Counter = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        words = {_joined(word, best): n for word, n in words.items()}
    return merges


def write_clip(lines: list[str], out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    merges, letters = learn_merges(lines, _MERGES), byte_letters()
    vocabulary = dict.fromkeys([*letters, *(x + "</w>" for x in letters), *map("".join, merges), _START, _END])
    (out / "vocab.json").write_text(json.dumps({v: k for k, v in enumerate(vocabulary)}, ensure_ascii=False))
    (out / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    specials = {"bos_token": _START, "eos_token": _END, "pad_token": _END, "unk_token": _END}
    (out / "special_tokens_map.json").write_text(json.dumps(specials, indent=2))
    (out / "tokenizer_config.json").write_text(json.dumps(
        {**specials, "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
         "model_max_length": CLIP_TOKENS, "tokenizer_class": "CLIPTokenizer"}, indent=2))


def _unigram(words: collections.Counter) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "words.txt"     # one word a line, so that whole words win
        corpus.write_text("\n".join("\n".join([w] * max(8, min(n, 4000) // 10)) for w, n in sorted(words.items())))
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{folder}/spiece", vocab_size=_T5_PIECES, hard_vocab_limit=False,
            model_type="unigram", normalization_rule_name="nmt_nfkc", character_coverage=1.0, num_threads=1,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>",
            required_chars="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'\"-:;()",
            minloglevel=2)
        return pathlib.Path(f"{folder}/spiece.model").read_bytes()


def write_t5(lines: list[str], out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    words = collections.Counter(w for line in lines for w in re.findall(r"[A-Za-z]+", line))
    words = collections.Counter({w: n for w, n in words.items() if n >= 20})
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(_unigram(words))
    known, total = {p.piece for p in model.pieces}, sum(words.values()) + 20 * len(words)
    for word, n in words.most_common():     # the whole words that the trainer left out
        if f"\u2581{word}" not in known and len(model.pieces) < _T5_WORDS_UP_TO:
            piece = model.pieces.add()
            piece.piece, piece.score = f"\u2581{word}", math.log((n + 20) / total)
    for piece in model.pieces:              # pieces of words score below every whole word
        if piece.type == piece.NORMAL and piece.piece.lstrip("\u2581") not in words:
            piece.score = min(piece.score, -8.0) - 4.0
    (out / "spiece.model").write_bytes(model.SerializeToString())
    config = json.dumps({"additional_special_tokens": [], "eos_token": "</s>", "extra_ids": 0, "pad_token": "<pad>",
                         "model_max_length": T5_TOKENS, "tokenizer_class": "T5Tokenizer", "unk_token": "<unk>"}, indent=2)
    (out / "tokenizer_config.json").write_text(config)
    T5TokenizerFast.from_pretrained(out).save_pretrained(out)   # adds tokenizer.json, converted from spiece.model
    (out / "tokenizer_config.json").write_text(config)          # the saver puts the machine's state into it


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, help="model directory")
    p.add_argument("--lines", type=int, default=50_000)
    a = p.parse_args()
    lines = sample_lines(a.lines, random.Random(5)) + _OTHER_WORDS.split("\n") * 60
    write_clip(lines, a.out / "tokenizer")
    write_t5(lines, a.out / "tokenizer_2")


if __name__ == "__main__":
    main()
