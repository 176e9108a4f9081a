#!/usr/bin/env python3
"""Writes tests/data/vectors/vectors_tokenizer_hf.json: what Hugging Face's tokenizers make of a few
hundred instructions and Unicode oddities, with the FLUX.1 and the miniature vocabularies.

    python3 tools/golden/make_tokenizer_vectors.py      (needs transformers and tokenizers)

clip: CLIPTokenizer (the fast one) from vocab.json and merges.txt, cut to 77 with the end kept.
t5: the tokenizer.json as it is, neither cut nor padded.
t5_first: the miniature's tokenizer.json with the normaliser and pre-tokenizer of FLUX.1's, which is
the rule for a spiece.model; only where it differs from t5, which is after special tokens.
"""
import json
import pathlib
import random

import tokenizers
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLUX = ROOT / "models/flux1-tokenizers"
MINI = ROOT / "models/mini"
OUT = ROOT / "tests/data/vectors/vectors_tokenizer_hf.json"


def instructions(rng, count):
    """Sentences in the manner of the miniature's training text, with some words it never saw."""
    who = ["cat", "robot", "bear", "fox", "owl", "rabbit", "old man", "Zebra", "x-ray", "jalapeño"]
    colour = ["red", "blue", "green", "orange", "purple", "BLACK", "teal", "off-white"]
    place = ["forest", "city", "desert", "beach", "snow", "kitchen", "space station", "café"]
    thing = ["crown", "hat", "scarf", "balloon", "umbrella", "sword", "12 flowers", "'OPEN' sign"]
    mood = ["sad", "happy", "angry", "surprised", "sleepy", "bewildered"]
    forms = ["put the {w} in the {p}", "make the {w} {c}", "Make it look {m}", "give the {w} a {c} {t}",
             "Remove the {t}, please!", "replace the {t} with a {t2}", "turn it into night; keep the {w}",
             "A {m} {c} {w} in the {p} at sunset", "change the {p}'s light: {c}, not {m}",
             "Don't touch the {w}'s {t} - it's {c}."]
    for _ in range(count):
        yield rng.choice(forms).format(w=rng.choice(who), c=rng.choice(colour), p=rng.choice(place),
                                       t=rng.choice(thing), t2=rng.choice(thing), m=rng.choice(mood))


ODDITIES = [
    "", " ", "\n", "\t \r\n", "a", " a", "a ", "\u2581", "\u2581\u2581a", "a\u2581b", "a\r\nb", "a\n\rb",
    "e\u0301\u0301", "e\u0323\u0301", "\u1ec7", "a\u0338\u0301b", "\u0301", "\u0301a", " \u0301", "q\u0307\u0323x",
    "o\u0308\u0304 \u022b", "\u212b \u212a \u2126", "\ufb03 \ufb05 \ufb01", "\u1e9b\u0323", "\u00bd \u2153 \u2460 \u2167", "\u00b2\u00b3",
    "\uff21\uff22\uff23 \uff11\uff12", "\uff76\uff9e \uff8a\uff9f", "\u3231 \u32c0", "\u2122 \u00ae \u00a9", "\u2026 .. ...", "\u2018a\u2019 \u201cb\u201d",
    "\u2013\u2014\u2015", "a\u00adb", "a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "a\ufeffb", "\ufeffstart", "a\u00a0b\u2003c\u3000d",
    "a\u0085b", "a\u2028b\u2029c", "a\u000bb\u000cc", "a\u0000b", "\u0001x\u0002", "x\u007fy", "a\u180eb", "a\u205fb\u1680c",
    "\u0130\u0131 I i", "\u03a3\u03a3\u03a3 \u03bf\u03b4\u03cc\u03c2", "\u01c4 \u01c5 \u01c6", "\u1e9e \u00df SS", "\u10a0\u2d00", "\u13a0\uab70", "\U00010400\U00010428",
    "\u0915\u094d\u0937\u093f", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0645\u0631\u062d\u0628\u0627 \u0661\u0662",
    "\u1100\u1161\u11a8 \uac01 \u3131", "\ud55c\uad6d\uc5b4", "\u3053\u3093\u306b\u3061\u306f", "\u4e2d\u6587\u5b57\u7b26", "\U00020000\U0002f800", "\u304b\u3099 \u304c",
    "\U0001f98a fox", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "1\ufe0f\u20e3", "\u2764\ufe0f\u2764", "\U0001f44d\U0001f3fd",
    "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\ue000\uf8ff", "\ufdd0\ufffe", "\ufffd", "\U0010ffff", "\u00b4 \u00a8 \u00b8", "\u1fef", "\u0344",
    "<|endoftext|>", "<|startoftext|>", "<|ENDOFTEXT|>", "a<|endoftext|>b<|startoftext|>c", "<|endoftext", "<|endoftext|><|endoftext|>",
    "</s>", "<pad>", "<unk>", "a</s>b", "<pad>a<unk>b", "</s> a", "a </s> b ", "</S>", "<extra_id_0>", "x<extra_id_10>y <extra_id_99>", "<extra_id_100>",
    "'s", "'S 't're've'm'll'd", "''s", "!'s", "'so 'll'd", "it's", "it\u2019s", "don't!'ve", "_a_b_", "a1b22c", "\u0664\u0665", "\u2167ab", "$9.99 #1 @x",
    "xxxxxxxx", "zzzz!!!!????", "AbCdEf", "antidisestablishmentarianism", "supercalifragilisticexpialidocious" * 3,
    "  many   spaces    here  ", "tab\tand\nline", "a  <unk>  b", "\u3000\u3000x", "x\u3000\u3000", "word " * 90, "\u00e9" * 60, "\U0001f98a" * 40,
]


def mixtures(rng, count):
    """Random strings of parts that meet each other's rules."""
    parts = ["a", "B", "e", " ", "  ", "\u0301", "\u0323", "\u200d", "\ufe0f", "'", "s", "'ll", "1", "\u00bd", "!", "_", "\u2581", "\u00e9",
             "\u732b", "\U0001f98a", "\r", "\n", "\u00a0", "\u3000", "\u0130", "\ufb01", "\uff21", "\u1100", "\u1161", "\u0e33", "the", "cat", "</s>", "<pad>",
             "<|endoftext|>", "<", "\u0000", "\u200b", "\U0001f1e9", "\u0308", "\u0338", "u", "O"]
    for _ in range(count):
        yield "".join(rng.choice(parts) for _ in range(rng.randint(1, 14)))


def first_only(tokenizer_json):
    """The miniature's tokenizer under the rules of FLUX.1's tokenizer.json."""
    data = json.loads(tokenizer_json.read_text())
    flux = json.loads((FLUX / "tokenizer_2/tokenizer.json").read_text())
    rules = flux["normalizer"]
    rules["normalizers"][0] = data["normalizer"]
    data["normalizer"], data["pre_tokenizer"] = rules, flux["pre_tokenizer"]
    return plain(tokenizers.Tokenizer.from_str(json.dumps(data)))


def plain(tokenizer):
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def main():
    rng = random.Random(2026)
    strings = list(dict.fromkeys([*instructions(rng, 200), *ODDITIES, *mixtures(rng, 300)]))
    mini_json = MINI / "tokenizer_2/tokenizer.json"
    clip = {"flux1": transformers.CLIPTokenizerFast.from_pretrained(FLUX / "tokenizer"),
            "mini": transformers.CLIPTokenizerFast.from_pretrained(MINI / "tokenizer")}
    t5 = {"flux1": plain(tokenizers.Tokenizer.from_file(str(FLUX / "tokenizer_2/tokenizer.json"))),
          "mini": plain(tokenizers.Tokenizer.from_file(str(mini_json)))}
    first = first_only(mini_json)
    rows = []
    for text in strings:
        row = {"text": text}
        for name in clip:
            row[name] = {"clip": clip[name](text, truncation=True, max_length=77).input_ids,
                         "t5": t5[name].encode(text).ids}
        ids = first.encode(text).ids
        if ids != row["mini"]["t5"]:
            row["mini"]["t5_first"] = ids
        rows.append(row)
    about = (f"by tools/golden/make_tokenizer_vectors.py with transformers {transformers.__version__} and "
             f"tokenizers {tokenizers.__version__}; its head says what each list is")
    lines = ",\n".join(json.dumps(r) for r in rows)
    OUT.write_text(f'{{"about": {json.dumps(about)},\n"rows": [\n{lines}\n]}}\n')
    print(len(rows), "strings,", sum("t5_first" in r["mini"] for r in rows), "with t5_first")


if __name__ == "__main__":
    main()
