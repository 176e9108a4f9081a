"""Training's parts: what must hold before hours are spent."""
import copy
import json
import pathlib
import tempfile
import unittest
import unittest.mock

import numpy as np
import torch
from safetensors.torch import load_file

from storybook import cache, objective, train_dit, train_lora
from storybook.draw import render
from storybook.export import export
from storybook.flux import (LatentCodec, Text, Tokenizers, fresh_transformer, load_transformer, pack, position_ids,
                            shift_time, velocity)
from storybook.muon import orthogonalise
from storybook.storage import REPO_MODEL, save
from storybook.tokenizers import learn_merges, write_clip, write_t5
from storybook.train_text import NOT_SAID, STAYS, labels
from storybook.world import VALUES, Scene, replace


class Tokens(unittest.TestCase):
    def test_pack_order_is_channel_row_column(self):
        latents = torch.arange(2 * 4 * 4, dtype=torch.float32).view(1, 2, 4, 4)
        self.assertEqual(pack(latents)[0, 1].tolist(), [2.0, 3.0, 6.0, 7.0, 18.0, 19.0, 22.0, 23.0])

    def test_positions_are_index_row_column(self):
        self.assertEqual(position_ids(1)[9].tolist(), [1.0, 1.0, 1.0])
        self.assertEqual(position_ids(0)[10].tolist(), [0.0, 1.0, 2.0])

    def test_shift_keeps_the_ends(self):
        self.assertTrue(torch.allclose(shift_time(torch.tensor([0.0, 1.0])), torch.tensor([0.0, 1.0])))

    def test_trained_tokenizers_know_the_words(self):
        lines = ["put the cat in the forest", "make it look happy"] * 40
        self.assertEqual(learn_merges(["ab ab abc"], 1), [("a", "b</w>")])
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            write_clip(lines, out / "tokenizer")
            write_t5(lines, out / "tokenizer_2")
            tokens = Tokenizers(out)
            clip_ids, t5_ids = tokens(["put the cat", "PUT THE CAT"])
            self.assertEqual((clip_ids.shape, t5_ids.shape), ((2, 77), (2, 48)))
            self.assertEqual(clip_ids[0].tolist(), clip_ids[1].tolist())
            self.assertEqual((clip_ids[0, 5:] == tokens.clip.eos_token_id).sum().item(), 72)
            self.assertEqual(t5_ids[0, 3:5].tolist(), [1, 0])


class Labels(unittest.TestCase):
    def test_says_what_changes(self):
        source = Scene()
        target = replace(source, hat="crown", hat_color="red")
        said = dict(zip(VALUES, labels(source, target)))
        self.assertEqual((said["setting"], said["hat"], said["wear_color"]), (STAYS, 1 + VALUES["hat"].index("crown"), NOT_SAID))
        self.assertNotIn(STAYS, labels(None, target))


class Objective(unittest.TestCase):
    def setUp(self):
        self.rng = torch.Generator().manual_seed(1)
        self.batch = objective.Batch(torch.randn(4, 64, 64), torch.randn(4, 64, 64), Text(torch.randn(4, 64), torch.randn(4, 48, 128)))

    def test_times_lie_between_picture_and_noise(self):
        times = objective.sample_times(1000, 0.5, self.rng)
        self.assertTrue((times > 0).all() and (times <= 1).all())
        self.assertGreater((times > 0.6).float().mean().item(), 0.5)

    def test_weights_have_mean_one_and_favour_what_changes(self):
        reference = self.batch.picture.clone()
        reference[:, 7] += 1
        weights = objective.token_weights(objective.Batch(self.batch.picture, reference, self.batch.text), 8.0)
        self.assertTrue(torch.allclose(weights.mean(1), torch.ones(4, 1)))
        self.assertAlmostEqual((weights[0, 7] / weights[0, 8]).item(), 9.0, places=4)

    def test_a_perfect_velocity_costs_nothing(self):
        batch, empty = self.batch, Text(torch.zeros(1, 64), torch.zeros(1, 48, 128))

        bounds = []

        def knows(hidden_states, timestep, **_):     # x_t = (1 - t) picture + t noise
            x, t = hidden_states[:, :64], timestep[:, None, None]
            # x carries the rounding of lerp, a product and a sum; dividing by t magnifies it.
            bounds.append((2 * torch.finfo().eps * x.abs().max() / t.min()).item() ** 2)
            return ((x - batch.picture[:len(x)]) / t,)
        value = objective.loss(knows, knows, batch, empty, objective.Recipe(guided=0.5), self.rng)
        print(f"loss of the perfect velocity {value.item():.1e} (bound {bounds[-1]:.1e})")
        self.assertLess(value.item(), bounds[-1])

    def test_orthogonalised_singular_values_are_near_one(self):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(2, 16, 48, generator=self.rng)))
        self.assertTrue(((values > 0.5) & (values < 1.5)).all(), values)


class Lora(unittest.TestCase):
    """The branches begin as nothing, learn, resume, and are written under the names that engines read."""

    def test_train_resume_write(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "l.safetensors"
            common = ["--out", str(out), "--edits", "8", "--batch", "2", "--rank", "2", "--save-every", "1", "--steps"]
            train_lora.train(train_lora.arguments([*common, "1"]))
            first = load_file(out)
            train_lora.train(train_lora.arguments([*common, "3"]))     # goes on at step 1
            self.assertEqual(torch.load(out.with_suffix(".checkpoint.pt"))["step"], 3)
            tensors = load_file(out)
        linears = {n: m for n, m in load_transformer(REPO_MODEL).named_modules() if isinstance(m, torch.nn.Linear)}
        for name in {k.removesuffix(".lora_A.weight") for k in tensors if k.endswith("A.weight")}:
            base = linears[name.removeprefix("transformer.")]
            down, up = (tensors[f"{name}.lora_{half}.weight"] for half in "AB")
            self.assertEqual((down.shape, up.shape), ((2, base.in_features), (base.out_features, 2)))
        ups = [k for k in tensors if k.endswith("lora_B.weight")]
        self.assertTrue(any(not torch.equal(first[k], tensors[k]) for k in ups))

    def test_branches_begin_as_nothing(self):
        model, x = load_transformer(REPO_MODEL), torch.randn(1, 64, 64)
        text = Text(torch.randn(1, 64), torch.randn(1, 48, 128))
        before = velocity(model, x, None, torch.ones(1), torch.ones(1), text)
        train_lora.add_branches(model, 4)
        self.assertTrue(torch.equal(velocity(model, x, None, torch.ones(1), torch.ones(1), text), before))

    def test_a_linear_style_is_found(self):
        a = torch.randn(64, 64)
        target = torch.randn(4, 64, 64)
        drawn = train_lora.Drawn(target, target, target @ a + 1, Text(torch.zeros(4, 64), torch.zeros(4, 48, 128)))
        found = train_lora.style_map(drawn)
        # 256 samples of 64 numbers: the condition of their matrix is below 10, the solution's error some eps times that.
        bound = 64 * 10 * torch.finfo().eps * a.abs().max().item()
        print(f"style map off by {(found - a).abs().max().item():.1e} (bound {bound:.1e})")
        self.assertLess((found - a).abs().max().item(), bound)


class EndToEnd(unittest.TestCase):
    """Cache, two steps, resume, export on the released model: minutes of training rest on these."""

    def test_train_resume_export(self):
        self.enterContext(unittest.mock.patch.object(cache, "CHAINS_A_CHUNK", 2))
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            z, pairs, instructions, captions = cache._chunk(1, REPO_MODEL, "small")
            self.assertEqual((z.shape, pairs.tolist()[5], len(captions)), ((12, 64, 64), [6, 7], 12))
            tokens = Tokenizers(REPO_MODEL)
            save(work / "cache.pt", {"latents": torch.from_numpy(z), "pairs": torch.from_numpy(pairs), "empty": tokens([""]),
                                     "instructions": tokens(instructions), "captions": tokens(captions)})
            common = ["--cache", str(work / "cache.pt"), "--work", str(work), "--batch", "2", "--from-text", "0"]
            for steps in ("1", "2"):    # the second run resumes
                train_dit.train(train_dit.arguments([*common, "--steps", steps]))
            kept = torch.load(work / train_dit.CHECKPOINT)
            self.assertEqual(kept["step"], 2)
            export(REPO_MODEL, work / train_dit.CHECKPOINT, work / "out")
            for part in ("transformer", "vae", "text_encoder", "text_encoder_2"):
                file = next((REPO_MODEL / part).glob("*.safetensors"))
                before, after = load_file(file), load_file(work / "out" / part / file.name)
                self.assertEqual({k: (v.shape, v.dtype) for k, v in before.items()}, {k: (v.shape, v.dtype) for k, v in after.items()})
                same = all(torch.equal(before[k], after[k]) for k in before)
                self.assertEqual(same, part != "transformer", part)
            self.assertEqual(json.loads((work / "out" / "kontext.json").read_text())["name"], "mini")
            with self.assertRaises(SystemExit):
                export(REPO_MODEL, None, work / "out")

    def test_stop_file_ends_the_run(self):
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            (work / "STOP").touch()
            tokens = Tokenizers(REPO_MODEL)
            save(work / "cache.pt", {"latents": torch.zeros(2, 64, 64).half(), "pairs": torch.tensor([[0, 1]]), "empty": tokens([""]),
                                     "instructions": tokens(["make it day"]), "captions": tokens(["a cat", "a cat"])})
            train_dit.train(train_dit.arguments(["--cache", str(work / "cache.pt"), "--work", str(work), "--steps", "5"]))
            self.assertEqual(torch.load(work / train_dit.CHECKPOINT)["step"], 0)

    def test_a_fresh_transformer_has_the_sizes_and_closed_gates(self):
        fresh, released = fresh_transformer(REPO_MODEL), load_transformer(REPO_MODEL)
        self.assertEqual({k: v.shape for k, v in fresh.state_dict().items()}, {k: v.shape for k, v in released.state_dict().items()})
        text = Text(torch.randn(1, 64), torch.randn(1, 48, 128))
        v = velocity(fresh, torch.randn(1, 64, 64), None, torch.ones(1), torch.ones(1), text)
        self.assertEqual((v.shape, v.abs().max().item()), ((1, 64, 64), 0.0))

    def test_codec_scales_latents_to_unit_size(self):
        picture = torch.from_numpy(np.asarray(render(Scene(layout=3))).copy())[None]
        self.assertAlmostEqual(LatentCodec(REPO_MODEL).encode(picture).std().item(), 1.0, delta=0.5)

    def test_average_follows(self):
        model = load_transformer(REPO_MODEL)
        run = train_dit.Run(model, copy.deepcopy(model).requires_grad_(False), [], torch.Generator(), step=1_000_000)
        with torch.no_grad():
            model.x_embedder.bias += 1
        before = run.average.x_embedder.bias.clone()
        run.update_average(0.75)
        self.assertTrue(torch.allclose(run.average.x_embedder.bias - before, torch.full_like(before, 0.25), atol=1e-6))


if __name__ == "__main__":
    unittest.main()
