"""Edits from encoded transformers: GGUF and fp8, with and without a LoRA on them, and files of theirs that are damaged.

What each encoding's values are is tested in src/weights (encodings_test, ggml_types_test); here are whole files.
"""
import struct
import unittest

from mini_files import bfl_transformer, pack, part
from program import MINI, ProgramTest, read_pixels

BF16, F32, Q8_0, Q4_K = 30, 0, 8, 12
LAYER = "single_blocks.2.linear2"


def floats(data):
    """bf16 bytes as numbers."""
    return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]


def q8_0(data):
    """ggml's blocks: a half-precision unit and 32 signed bytes."""
    values, out = floats(data), bytearray()
    for i in range(0, len(values), 32):
        block = values[i:i + 32]
        unit = struct.unpack("<e", struct.pack("<e", max(map(abs, block)) / 127))[0] or 1.0
        out += struct.pack("<e32b", unit, *(max(-127, min(127, round(v / unit))) for v in block))
    return bytes(out)


def q4_k(data):
    """Super-blocks of 256: eight sub-blocks of 32, each scale * code - minimum, scales and minima of 6 bits in two halfs' units."""
    values, out = floats(data), bytearray()
    for i in range(0, len(values), 256):
        subs = [values[k:k + 32] for k in range(i, i + 256, 32)]
        minima = [max(0.0, -min(s)) for s in subs]
        scales = [(max(s) + m) / 15 for s, m in zip(subs, minima)]
        d, dmin = (struct.unpack("<e", struct.pack("<e", max(v) / 63))[0] or 1.0 for v in (scales, minima))
        sc, mn = [min(63, round(v / d)) for v in scales], [min(63, round(v / dmin)) for v in minima]
        packed = [sc[t] | (sc[t + 4] >> 4) << 6 for t in range(4)] + [mn[t] | (mn[t + 4] >> 4) << 6 for t in range(4)]
        packed += [sc[t + 4] & 15 | (mn[t + 4] & 15) << 4 for t in range(4)]
        codes = [[max(0, min(15, round((v + dmin * m) / (d * c)))) if c else 0 for v in s] for s, c, m in zip(subs, sc, mn)]
        out += struct.pack("<ee12B", d, dmin, *packed)
        for t in range(0, 8, 2):
            out += bytes(a | b << 4 for a, b in zip(codes[t], codes[t + 1]))
    return bytes(out)


E4M3 = [(m / 8 * 2**-6 if e == 0 else (1 + m / 8) * 2.0**(e - 7)) for e in range(16) for m in range(8)][:127]


def fp8(data):
    """The nearest E4M3 of each number."""
    def code(v):
        low, high = 0, len(E4M3) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if E4M3[middle] <= abs(v) else (low, middle)
        return (high if E4M3[high] - abs(v) < abs(v) - E4M3[low] else low) | (128 if v < 0 else 0)
    return bytes(code(v) for v in floats(data))


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(named, architecture="flux"):
    """A GGUF file of {name: (shape, ggml type, bytes)}."""
    infos, data = b"", bytearray()
    for name, (shape, kind, body) in named.items():
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<q", n) for n in reversed(shape))
        infos += struct.pack("<IQ", kind, len(data))
        data += body
    head = b"GGUF" + struct.pack("<Iqq", 3, len(named), 1) + text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    return head + infos + bytes(-len(head + infos) % 32) + bytes(data)


def as_gguf(transformer, quantised=(), kind=Q8_0):
    """As ComfyUI-GGUF's converter writes: vectors in F32, the rest in BF16, but for `quantised`, which are `kind`."""
    encode = {Q8_0: q8_0, Q4_K: q4_k}[kind]
    named = {}
    for name, (_, shape, data) in transformer.items():
        if len(shape) == 1:
            named[name] = (shape, F32, b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2)))
        else:
            named[name] = (shape, kind, encode(data)) if name in quantised else (shape, BF16, data)
    return gguf(named)


def as_fp8(transformer, scaled):
    """LAYER in E4M3; ComfyUI's way with a scale of 1/64 beside it, or a plain cast."""
    named = dict(transformer)
    _, shape, data = named[LAYER + ".weight"]
    if scaled:
        data = b"".join(struct.pack("<f", v * 64)[2:] for v in floats(data))  # exact: 64 is a power of two
        named[LAYER + ".scale_weight"] = ("F32", [], struct.pack("<f", 1 / 64))
        named["scaled_fp8"] = ("F8_E4M3", [2], b"\0\0")
    named[LAYER + ".weight"] = ("F8_E4M3", shape, fp8(data))
    return pack(named)


ADAPTED = (LAYER, 256, 1280), ("single_blocks.2.linear1", 1792, 256), ("double_blocks.1.img_mlp.2", 256, 1024)


def a_lora():
    """A LoRA of rank 4 on LAYER and its neighbours, large enough to show."""
    def numbers(n, seed):
        return b"".join(struct.pack("<f", ((i * 7919 + seed * 104729) % 2003 / 1001 - 1) * 0.3) for i in range(n))
    named = {}
    for seed, (name, rows, columns) in enumerate(ADAPTED):
        layer = "lora_unet_" + name.replace(".", "_")
        named[layer + ".lora_down.weight"] = ("F32", [4, columns], numbers(4 * columns, seed))
        named[layer + ".lora_up.weight"] = ("F32", [rows, 4], numbers(rows * 4, seed + 10))
    return pack(named)


class Formats(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.transformer = bfl_transformer()
        adapted = [f"{name}.weight" for name, _, _ in ADAPTED]
        cls.encoded = {"q4k.gguf": as_gguf(cls.transformer, adapted, Q4_K), "plain.gguf": as_gguf(cls.transformer), "q8.gguf": as_gguf(cls.transformer, [LAYER + ".weight"]),
                       "fp8.safetensors": as_fp8(cls.transformer, False), "scaled.safetensors": as_fp8(cls.transformer, True)}

    def setUp(self):
        super().setUp()
        for name, data in self.encoded.items():
            self.write(name, data)

    def pixels(self, *model):
        self.edit("--seed", 7, "-o", "out.png", *model)
        return read_pixels(self.folder / "out.png")[3]

    def bad(self, *flags, says):
        self.fail_with(3, "edit", "-i", "in.png", "-p", "x", "--steps", "2", "-o", "out.png", *flags, says=says)

    def difference(self, a, b):
        """The largest difference of two pictures' bytes."""
        self.assertEqual(len(a), len(b))
        return max(abs(x - y) for x, y in zip(a, b))

    def test_gguf_of_the_same_numbers_is_the_same_picture(self):
        self.assertEqual(self.pixels("-m", MINI, "--transformer", "plain.gguf"), self.pixels("-m", MINI))

    def test_an_encoded_layer_changes_little(self):
        plain = self.pixels("-m", MINI)
        for name in ("q8.gguf", "fp8.safetensors", "scaled.safetensors"):
            with self.subTest(name):
                worst = self.difference(self.pixels("-m", MINI, "--transformer", name), plain)
                print(f"{name}: worst pixel {worst} of 255 off")
                self.assertTrue(0 < worst <= 16, worst)

    def test_a_lora_beside_an_encoded_weight_is_the_lora_merged_into_it(self):
        """spec lora 7, test 12, as pictures; that it adds what it adds to bf16: src/weights/adapted_q4k_test.cc."""
        self.write("l.safetensors", a_lora())
        for name in ("q4k.gguf", "q8.gguf", "scaled.safetensors"):
            with self.subTest(name):
                base = ("-m", MINI, "--transformer", name)
                lora = (*base, "--lora", "l.safetensors:0.8")
                beside, merged = self.pixels(*lora), self.pixels(*lora, "--lora-merge")
                print(f"{name}: beside and merged differ by {self.difference(beside, merged)} of 255 at most")
                self.assertGreater(self.difference(beside, self.pixels(*base)), 8)
                # bf16 products of sums in another order: an edge may turn by a few steps, no more.
                self.assertLessEqual(self.difference(beside, merged), 8)
                self.assertEqual(self.pixels(*base, "--lora", "l.safetensors:0"), self.pixels(*base))

    def test_damaged_gguf(self):
        whole = self.encoded["q8.gguf"]
        infos = whole.index(b"img_in")
        for at in (2, 6, 20, 40, infos + 30, len(whole) // 2, len(whole) - 1):
            self.write("cut.gguf", whole[:at])
            self.bad("-m", MINI, "--transformer", "cut.gguf", says=["cut.gguf"])
        self.write("big.gguf", whole[:4] + whole[4:8][::-1] + whole[8:])
        self.bad("-m", MINI, "--transformer", "big.gguf", says=["big.gguf", "big-endian"])
        one, two = "img_in.weight", "txt_in.weight"
        self.write("twice.gguf", whole.replace(text(two), text(one)[:8] + b"img_in.weight", 1))
        self.bad("-m", MINI, "--transformer", "twice.gguf", says=["twice.gguf", one])

    def test_a_block_whose_scale_is_no_number_stops_the_edit(self):
        """Blocks of GGUF are too many to look at beforehand: the first step that meets one ends, whatever the mode."""
        bad = bytearray(self.encoded["q8.gguf"])
        at = bad.index(q8_0(self.transformer[LAYER + ".weight"][2][:64]))  # LAYER's first block, whose scale comes first
        bad[at:at + 2] = struct.pack("<e", float("nan"))
        self.write("nan.gguf", bytes(bad))
        for mode, code, says in (("default", 3, ["row 0", "not finite"]), ("exact", 1, ["step 1 of 2", "NaN"])):
            self.fail_with(code, "edit", "-i", "in.png", "-p", "x", "--steps", "2", "-o", "out.png", "-m", MINI, "--transformer", "nan.gguf",
                           "--mode", mode, says=says)
            self.assertNotIn("out.png", self.files())

    def test_text_encoder_as_transformer(self):
        q = ([128, 128], BF16, bytes(2 * 128 * 128))
        names = ("token_embd", "enc.blk.0.attn_q", "enc.blk.0.ffn_gate", "enc.output_norm")
        self.write("t5.gguf", gguf({f"{n}.weight": q for n in names}, "t5encoder"))
        self.bad("-m", MINI, "--transformer", "t5.gguf", says=["t5.gguf", "T5", "--t5"])

    def test_scales_that_are_no_numbers_and_nothing(self):
        named = dict(self.transformer)
        shape = named[LAYER + ".weight"][1]
        named[LAYER + ".weight"] = ("F8_E4M3", shape, bytes(shape[0] * shape[1]))
        for scale, says in ((struct.pack("<f", float("nan")), "not finite"), (b"", "no empty parts")):
            named[LAYER + ".scale_weight"] = ("F32", [len(scale) // 4], scale)
            self.write("x.safetensors", pack(named))
            self.bad("-m", MINI, "--transformer", "x.safetensors", says=["x.safetensors", LAYER + ".scale_weight", says])

    def test_text_encoders_in_llama_cpps_gguf(self):
        """T5 under llama.cpp's names gives the same picture as under Hugging Face's."""
        short = {"SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v", "SelfAttention.o": "attn_o",
                 "SelfAttention.relative_attention_bias": "attn_rel_b", "DenseReluDense.wi_0": "ffn_gate",
                 "DenseReluDense.wi_1": "ffn_up", "DenseReluDense.wo": "ffn_down"}
        named = {}
        for name, (_, shape, data) in part("t5").items():
            words = name.split(".")
            if words[0] == "shared":
                theirs = "token_embd.weight"
            elif words[1] == "final_layer_norm":
                theirs = "enc.output_norm.weight"
            elif words[1] == "embed_tokens":
                continue
            else:
                norm = {"0": "attn_norm", "1": "ffn_norm"}[words[4]]
                theirs = f"enc.blk.{words[2]}.{short.get('.'.join(words[5:-1]), norm)}.weight"
            named[theirs] = (shape, BF16, data)
        self.write("t5.gguf", gguf(named, "t5encoder"))
        self.assertEqual(self.pixels("-m", MINI, "--t5", "t5.gguf"), self.pixels("-m", MINI))


if __name__ == "__main__":
    unittest.main()
