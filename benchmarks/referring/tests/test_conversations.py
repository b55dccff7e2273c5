"""GranD-f's grounded conversations: both layouts, and GLaMM's figures against pycocotools on whole masks."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_referring.caption_figures import caption_figures, caption_of, in_one_line
from pixcore_referring.config import ConversationsConfig
from pixcore_referring.conversation_figures import (
    average_precision,
    mean_paired_iou,
    precision_interval,
    precision_of,
    recalled,
)
from pixcore_referring.conversations import TRUTH, Conversations
from pixcore_referring.own_figures import Terms
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pixcore import cli, masks
from pixcore.components import Context
from pixcore.errors import DataError
from pixcore.figures.intervals import Cluster
from pixcore.records import Fidelity, Sample
from tests.damages import Damage, assert_told, edited

from .layouts import conversations, groundings, rectangle

CAPTIONS, MASKS = (f"annotations/val_test/val_gcg_coco_{kind}_gt.json" for kind in ("caption", "mask"))
TRAIN = "annotations/train/GranDf_HA_GCG_train.json"


def load(root: Path, fidelity: Fidelity = Fidelity.CORRECTED, **options: Any) -> dict[str, Sample]:
    benchmark = Conversations(ConversationsConfig(root=root, **options), Context(fidelity))
    return {one.id: one for one in benchmark.samples()}


def test_an_image_is_a_sample_with_its_phrases_and_masks(tmp_path: Path) -> None:
    samples = load(conversations(tmp_path))
    assert list(samples) == ["sa_1", "sa_2"]
    one = samples["sa_1"]
    assert one.extra[TRUTH]["phrases"] == ["a dog", "green grass"]
    assert one.extra[TRUTH]["caption"] == "a dog and green grass"
    assert one.mask is not None
    assert masks.area(one.mask) == 100 + 800
    assert one.expression is None
    assert one.question is not None
    assert "interleaved segmentation" in one.question
    assert one.image.pil().size == one.image.size


def test_the_released_question_has_its_accidental_spaces(tmp_path: Path) -> None:
    question = load(conversations(tmp_path), Fidelity.PUBLISHED)["sa_1"].question
    assert question is not None
    assert "interleaved     segmentation" in question


def test_each_phrase_can_be_a_sample(tmp_path: Path) -> None:
    samples = load(conversations(tmp_path), each="phrase")
    assert {name: one.expression for name, one in samples.items()} == {
        "sa_1.0": "a dog",
        "sa_1.1": "green grass",
        "sa_2.0": "two cats",
    }


def test_training_files_have_places_in_the_caption(tmp_path: Path) -> None:
    (one,) = load(groundings(tmp_path), groundings=TRAIN).values()
    truth = one.extra[TRUTH]
    assert (one.id, truth["caption"], truth["phrases"]) == ("sa_3", "A dog on grass.", ["A dog", "grass"])
    assert [truth["caption"][start:end] for start, end in truth["spans"]] == truth["phrases"]
    assert masks.area(truth["masks"][0]) == 45  # two masks that overlap
    assert one.image.name.endswith("GranDf_HA_images/train/sa_3.jpg")


def test_phrases_and_masks_that_do_not_match_are_told(tmp_path: Path) -> None:
    edited(CAPTIONS, lambda told: told["annotations"][0]["labels"].pop())(conversations(tmp_path))
    benchmark = Conversations(ConversationsConfig(root=tmp_path))
    one = next(iter(benchmark.samples()))
    assert one.extra[TRUTH]["phrases"] == ["a dog", ""]
    assert "1 image(s) have another number of phrases" in benchmark.notes[0]


def test_a_phrase_is_never_given_the_mask_of_another(tmp_path: Path) -> None:
    edited(MASKS, lambda told: told["annotations"].pop(0))(conversations(tmp_path))  # the dog's
    benchmark = Conversations(ConversationsConfig(root=tmp_path, each="phrase"))
    assert [one.expression for one in benchmark.samples()] == ["two cats"]
    assert benchmark.notes == ("1 image(s) have another number of phrases than of masks: left out",)


@pytest.mark.parametrize("each", ["image", "phrase"])
def test_a_mask_that_covers_no_pixel_is_no_absent_object(each: str, tmp_path: Path) -> None:
    nothing = dict(masks.empty((40, 30)))
    edited(MASKS, lambda told: told["annotations"][2].update(segmentation=nothing))(conversations(tmp_path))
    benchmark = Conversations(ConversationsConfig(root=tmp_path, each=each))
    *_, cats = benchmark.samples()
    assert cats.mask is None
    assert benchmark.notes == (f"1 {each}(s) have no mask that covers a pixel: not scored for grounding",)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no images": (edited(CAPTIONS, lambda told: told.pop("images")), "has no list of images"),
    "an image without id": (edited(CAPTIONS, lambda told: told["images"][0].pop("id")), "image 0 has no id"),
    "an image twice": (
        edited(CAPTIONS, lambda told: told["images"].append(told["images"][0])),
        "two images have the id sa_1",
    ),
    "no labels": (edited(CAPTIONS, lambda told: told["annotations"][0].pop("labels")), "has no list of labels"),
    "a mask of no image": (edited(MASKS, lambda told: told["annotations"][0].update(image_id="x")), "to image 'x'"),
    "no mask": (edited(MASKS, lambda told: told["annotations"][0].pop("segmentation")), "is not COCO RLE"),
    "two sizes": (
        edited(MASKS, lambda told: told["annotations"][0].update(segmentation={"size": [1, 1], "counts": [0, 1]})),
        "two of its masks differ in size",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, tmp_path: Path) -> None:
    damage, message = DAMAGES[case]
    damage(conversations(tmp_path))
    assert_told(lambda: load(tmp_path), message)


TRAINING: dict[str, tuple[Damage, str]] = {
    "no list": (lambda root: (root / TRAIN).write_text("{}"), "holds no list of images"),
    "no groundings": (edited(TRAIN, lambda told: told[0].pop("groundings")), "image 0 has no groundings"),
    "no place": (edited(TRAIN, lambda told: told[0]["groundings"]["grass"].pop("token_positives")), "phrase 'grass'"),
    "an endless place": (
        edited(TRAIN, lambda told: told[0]["groundings"]["grass"].update(token_positives=[0, float("inf")])),
        "phrase 'grass'",
    ),
    "no masks": (edited(TRAIN, lambda told: told[0]["groundings"]["grass"].update(rle_masks=[])), "has no mask"),
}


@pytest.mark.parametrize("case", TRAINING)
def test_every_damage_of_a_training_file_is_named(case: str, tmp_path: Path) -> None:
    damage, message = TRAINING[case]
    damage(groundings(tmp_path))
    assert_told(lambda: load(tmp_path, groundings=TRAIN), message)


FOUND: dict[str, list[tuple[str, tuple[int, int, int, int]]]] = {
    "sa_1": [("the sky", (30, 0, 40, 10)), ("two green cats", (0, 0, 10, 8)), ("grass", (0, 12, 40, 30))],
    "sa_2": [("cats", (5, 5, 25, 14))],  # an IoU of 0.45
}


def by_pycocotools(root: Path) -> float:
    """AP50 as the release has it: pycocotools on the files and on masks."""
    truth = COCO(str(root / MASKS))
    told = [
        {"image_id": name, "category_id": 1, "segmentation": masks.encode(rectangle(*corners)), "score": 1.0}
        for name, phrases in FOUND.items()
        for _, corners in phrases
    ]
    evaluation = COCOeval(truth, truth.loadRes(told), "segm")
    evaluation.params.catIds = [1]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[1])


def scored(root: Path, *more: str) -> dict[str, Any]:
    lines = [
        {
            "sample_id": name,
            "protocol": "question",
            "text": "it",
            "candidates": [
                {
                    "phrase": phrase,
                    "masks": [masks.encode(rectangle(*at)), masks.encode(~rectangle(*at))],
                    "scores": [2, 1],
                }
                for phrase, at in phrases
            ],
        }
        for name, phrases in FOUND.items()
    ]
    path = root / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    command = ["score", str(path), "--benchmark", "grounded-conversations", "--root", str(root), *more]
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--select", "mask-score", "--json", str(root / "summary.json")])
    assert not end.value.code
    told: dict[str, Any] = json.loads((root / "summary.json").read_text())
    return told


def test_the_table_has_glamms_figures(tmp_path: Path) -> None:
    told = scored(conversations(tmp_path))
    figures = {name: figure["value"] for name, figure in told["rows"][0]["figures"].items()}
    assert figures["AP50"] == pytest.approx(100 * by_pycocotools(tmp_path))
    assert 0 < figures["AP50"] < 100
    assert figures["mIoU"] == pytest.approx(100 * ((0.9 + 0.8) / 2 + 0.45) / 2)
    assert figures["Recall"] == pytest.approx(100 * 2 / 3)
    assert "of masks alone" in " ".join(told["notes"])


def test_without_any_true_mask_there_is_nothing_to_find(tmp_path: Path) -> None:
    root = conversations(tmp_path)
    told, outlines = (json.loads((root / path).read_text()) for path in (CAPTIONS, MASKS))
    for one in told["annotations"]:
        one["labels"] = []
    (root / CAPTIONS).write_text(json.dumps(told))
    (root / MASKS).write_text(json.dumps(outlines | {"annotations": []}))
    figures = scored(root)["rows"][0]["figures"]
    assert (figures["AP50"]["value"], figures["Recall"]["value"]) == (None, None)


def test_recall_compares_phrases_by_bert(tmp_path: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "green", "grass", "two", "cats"]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertModel(BertConfig(vocab_size=len(words), **size)).eval()
    with torch.no_grad():  # each word has a direction of its own
        model.embeddings.word_embeddings.weight.copy_(torch.eye(len(words), 16) * 10)
    model.save_pretrained(folder)

    def state(phrase: str) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = model(**tokenizer(phrase, return_tensors="pt")).last_hidden_state
        return found[0].mean(dim=0)

    def alike(one: str, other: str) -> float:
        return float((state(one) @ state(other)) / (state(one).norm() * state(other).norm()))

    told = scored(conversations(tmp_path / "d"), "--set", f"bert={folder}")
    figures = {name: figure["value"] for name, figure in told["rows"][0]["figures"].items()}
    assert alike("a dog", "two green cats") < 0.5 < alike("green grass", "grass")
    assert figures["Recall"] == pytest.approx(100 / 3)  # the dog's mask is found under another's name
    assert "compared by BERT" in " ".join(told["notes"])


def test_pairs_are_made_one_to_one() -> None:
    ious = np.array([[0.6, 0.5], [0.55, 0.0]])
    assert mean_paired_iou(ious) == pytest.approx(0.6)  # the second pair touches nothing
    assert mean_paired_iou(np.zeros((0, 2))) == 0
    assert recalled(ious, lambda real, said: 1.0) == 1
    assert recalled(ious, lambda real, said: 0.4) == 0
    assert recalled(np.array([[0.9, 0.0], [0.0, 0.8]]), lambda real, said: 0.9 - 0.5 * real) == 1


def test_an_image_of_which_nothing_is_said_lowers_precision_and_recall() -> None:
    one = np.array([[1.0]])
    assert average_precision([one]) == pytest.approx(1)
    assert average_precision([one, np.zeros((0, 1))]) == pytest.approx(51 / 101)  # recall ends at one half
    assert average_precision([np.zeros((0, 0))]) == 0


def test_precision_has_the_interval_of_its_draws() -> None:
    rng = np.random.default_rng(3)
    ious = [rng.uniform(size=(int(rng.integers(0, 5)), int(rng.integers(1, 4)))) for _ in range(12)]
    clusters = [Cluster(str(image), pair=False) for image in range(12)]
    spread = precision_interval(ious, clusters)
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low < average_precision(ious) < spread.high
    # each draw evaluated whole, by pycocotools
    values = [average_precision([ious[image] for image in sorted(rng.integers(0, 12, 12))]) for _ in range(300)]
    below, above = np.mean(np.array(values) < spread.low), np.mean(np.array(values) > spread.high)
    assert 0 < below < 0.06
    assert 0 < above < 0.06
    assert precision_interval(ious[:9], clusters[:9]).low is None  # too few


@pytest.mark.parametrize("seed", range(4))
def test_precision_is_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ious = [rng.uniform(size=(int(rng.integers(0, 5)), int(rng.integers(1, 4)))) for _ in range(9)]
    fits = [[float(ahead) for ahead in _greedy(one)] for one in ious]
    assert precision_of(np.concatenate(fits), sum(one.shape[1] for one in ious)) == pytest.approx(
        average_precision(ious), abs=1e-12
    )


def _greedy(ious: np.ndarray[Any, Any]) -> list[bool]:
    """Each found mask takes the true one that it fits best, of those that none before it took."""
    free, fits = np.ones(ious.shape[1], bool), []
    for one in ious:
        best = int(np.argmax(np.where(free, one, -1)))
        fits.append(bool(free[best] and one[best] >= 0.5))
        free[best] = free[best] and not fits[-1]
    return fits


def test_a_mean_has_the_t_interval_over_its_images() -> None:
    values = np.random.default_rng(0).uniform(size=20)
    kept = Terms("mean")
    for image, value in enumerate(values):
        kept.add(Cluster(str(image), pair=False), value)
    figure = kept.figure()
    reach = 2.093024 * values.std(ddof=1) / np.sqrt(20)  # the t of 19 degrees of freedom, from a table
    assert figure.value == pytest.approx(100 * values.mean())
    assert (figure.low, figure.high) == pytest.approx((100 * (values.mean() - reach), 100 * (values.mean() + reach)))
    assert (figure.n, figure.method) == (20, "t")


def test_captions_need_their_package_or_are_compared_as_the_release_does(tmp_path: Path) -> None:
    assert caption_of("<p> A dog </p> [SEG] on <p> grass </p> [SEG] .") == "A dog on grass ."
    broken = "a dog\r\non\u2028green\x85grass "
    assert in_one_line(broken) == "a dog on green grass"
    if find_spec("pycocoevalcap") is None or shutil.which("java") is None:
        needed = "METEOR and CIDEr need"
        assert_told(lambda: load(conversations(tmp_path), captions=True), needed)  # before anything is asked
        with pytest.raises(DataError, match=needed):
            caption_figures([("a dog", "a dog")], [Cluster("1", pair=False)])
        return
    told = scored(conversations(tmp_path), "--set", "captions=true")
    figures = {name: figure["value"] for name, figure in told["rows"][0]["figures"].items()}
    assert 0 <= figures["METEOR"] <= 100
    exact = [("a dog on green grass", "a dog on green grass"), ("two cats", "two cats"), ("a red car here", "no")]
    found = caption_figures(exact, [Cluster(str(one), pair=False) for one in range(3)])
    assert found["CIDEr"].value == pytest.approx(100 * (10 + 5 + 0) / 3)  # two words have no n-grams of three and four
    exact[0] = (broken, exact[0][1])  # a break in a reference shifts no caption
    assert caption_figures(exact, [Cluster(str(one), pair=False) for one in range(3)]) == found


@pytest.mark.parametrize("options", [{"captions": True}, {"bert": "bert"}])
def test_phrases_are_compared_by_their_masks_alone(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need each: image"):
        load(conversations(tmp_path), each="phrase", **options)


def test_bert_is_missed_before_anything_is_asked(tmp_path: Path) -> None:
    assert_told(lambda: load(conversations(tmp_path), bert="nowhere"), "there is no folder nowhere")


def test_the_check_looks_for_the_training_file_that_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = groundings(tmp_path)
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "check", "grounded-conversations", "--root", str(root), "--set", f"groundings={TRAIN}"])
    assert not end.value.code
    assert f"ok      {TRAIN}" in capsys.readouterr().out
