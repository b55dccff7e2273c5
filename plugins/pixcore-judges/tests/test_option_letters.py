"""The rule for `corrected` letters: wordings by kind, with what a person reads, or None where nobody could tell."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pixcore_judges.option_letters import grade_letter, published_options, read

from pixcore.records import Fidelity

DOOR = ("Open", "Closed")
ANIMALS = ("A dog", "A cat", "A bird", "A fish")
EASTER = ('"Happy Easter"', '"Happy Easter!"')
STOPS = ("Stop", "Stop.", "Stop?")
COUNTS = ("1", "2")
YES_NO = ("Yes", "No")

WORDINGS = {
    "then why the other is wrong": [
        ("The answer is B. Option A would need a visible gap.", DOOR, 1),
        ("B\nOption A would need a visible gap.", DOOR, 1),
        ("It is option B, not option A.", DOOR, 1),
        ("B. A is wrong since no gap can be seen.", DOOR, 1),
        ("B, because A would show a gap.", DOOR, 1),
        ("(b) is correct; (a) is not.", DOOR, 1),
        ("Option B. Option A is incorrect.", DOOR, 1),
        ("The correct answer is (A), since (B) can't be right.", DOOR, 0),
        ("B rather than A", DOOR, 1),
        ("I choose B instead of A", DOOR, 1),
        ("A, as opposed to B", DOOR, 0),
        ("Answer: B\n\nWhy not A: there is no gap.", DOOR, 1),
        ("Closed. If it were open, one would see a gap.", DOOR, 1),
        ("It is closed, not open.", DOOR, 1),
        ("Closed rather than open", DOOR, 1),
        ("It is closed instead of open.", DOOR, 1),
        ("**B**\n\nOption A is ruled out by the latch.", DOOR, 1),
        ("A is wrong. B is right.", DOOR, 1),
        ("A is incorrect, so the answer is B.", DOOR, 1),
        ("A can't be right, so it must be B.", DOOR, 1),
        ("The answer is not A but B.", DOOR, 1),
        ("C. A, B and D are wrong.", ANIMALS, 2),
    ],
    "thinking": [
        ("<think>Option A looks possible.</think>\nB", DOOR, 1),
        ("<think>Is it A?\n\nNo.</think><answer>B</answer>", DOOR, 1),
        ("<thinking>A, surely</thinking> The answer is B.", DOOR, 1),
        ("The answer is A, or not?</think>B", DOOR, 1),
        ("<THINK>A</THINK>\n\n(b)", DOOR, 1),
        ("◁think▷A it seems◁/think▷B", DOOR, 1),
        ("[THINK]A it seems[/THINK]B", DOOR, 1),
        ("<think></think>A", DOOR, 0),
        ("<think>The answer is A", DOOR, None),
        ("<think>The answer is A</think>", DOOR, None),
    ],
    "boxes": [
        (r"\boxed{B}", DOOR, 1),
        (r"$\boxed{B}$", DOOR, 1),
        (r"\boxed{\text{B}}", DOOR, 1),
        (r"\boxed{\textbf{(B)}}", DOOR, 1),
        (r"A looks tempting. Final: \boxed{b}", DOOR, 1),
        (r"\boxed{Closed}", DOOR, 1),
        (r"The answer is $\boxed{\mathrm{A}}$.", DOOR, 0),
        (r"First \boxed{A}, then corrected: \boxed{B}", DOOR, 1),
    ],
    "tags": [
        ("<answer>B</answer>", DOOR, 1),
        ("<answer> (b) </answer>", DOOR, 1),
        ("A? <answer>Closed</answer>", DOOR, 1),
        ("<answer>B", DOOR, 1),
        ("<ANSWER>A</ANSWER>", DOOR, 0),
        ("<final_answer>B</final_answer>", DOOR, 1),
        ("B</s>", DOOR, 1),
        ("B<|im_end|>", DOOR, 1),
        ("<b>B</b>", DOOR, 1),
        ("<p>The answer is <b>A</b>.</p>", DOOR, 0),
        ("<answer>A or B</answer>", DOOR, None),
        ("<answer></answer>", DOOR, None),
    ],
    "JSON": [
        ('{"answer": "B"}', DOOR, 1),
        ('{"answer": "b"}', DOOR, 1),
        ('```json\n{"answer": "B"}\n```', DOOR, 1),
        ("{'answer': 'B'}", DOOR, 1),
        ('{"reason": "A has no gap", "answer": "B"}', DOOR, 1),
        ('{"answer": "Closed", "confidence": 0.9}', DOOR, 1),
        ('{"answer": 2}', COUNTS, 1),
        ('{"option": "(A)"}', DOOR, 0),
        ('["B"]', DOOR, 1),
        ('{"answer": "A or B"}', DOOR, None),
    ],
    "full width and brackets": [
        ("（Ｂ）", DOOR, 1),
        ("Ｂ", DOOR, 1),
        ("⒝", DOOR, 1),
        ("Ⓑ", DOOR, 1),
        ("【B】", DOOR, 1),
        ("「B」", DOOR, 1),
        ("[b]", DOOR, 1),
        ("{A}", DOOR, 0),
        ("<B>", DOOR, 1),
        ("((B))", DOOR, 1),
        ("“B”", DOOR, 1),
        ("`B`", DOOR, 1),
    ],
    "options echoed": [
        ("(a) Open (b) Closed\nAnswer: (b)", DOOR, 1),
        ("Options: (a) Open (b) Closed. B", DOOR, 1),
        ("A. Open\nB. Closed\n\nThe door is closed.", DOOR, 1),
        ("A: Open, B: Closed. The answer is A", DOOR, 0),
        ("(a) Open or (b) Closed? Closed.", DOOR, 1),
        ("Is it open or closed? It is closed.", DOOR, 1),
        ("(a) Open (b) Closed", DOOR, None),
        ("A. Open\nB. Closed", DOOR, None),
        ("Options: A) A dog B) A cat C) A bird D) A fish\nC", ANIMALS, 2),
    ],
    "scripts without spaces": [
        ("答案是B。", DOOR, 1),
        ("答案:B", DOOR, 1),
        ("正确答案是A", DOOR, 0),
        ("选B", DOOR, 1),
        ("应该选择B项", DOOR, 1),
        ("选项B是正确的", DOOR, 1),
        ("答えはBです", DOOR, 1),
        ("正解はAです。", DOOR, 0),
        ("정답은 B입니다", DOOR, 1),
        ("คำตอบคือB", DOOR, 1),
        ("是A或B", DOOR, None),
    ],
    "the article": [
        ("a cat", ANIMALS, 1),
        ("It is a cat.", ANIMALS, 1),
        ("The answer is a bird.", ANIMALS, 2),
        ("A fish is what I see", ANIMALS, 3),
        ("A Cat", ANIMALS, 1),
        ("a house", ANIMALS, None),
        ("A house", ANIMALS, None),
        ("a", ANIMALS, 0),
        ("a.", ANIMALS, 0),
        ("The answer is a", ANIMALS, 0),
        ("The answer is a, since it barks", ANIMALS, 0),
        ("a) A dog", ANIMALS, 0),
        ("a because it barks", ANIMALS, 0),
        ("It has a gap in a wall", DOOR, None),
    ],
    "punctuation alone": [
        ('"Happy Easter"', EASTER, 0),
        ('"Happy Easter!"', EASTER, 1),
        ("Happy Easter", EASTER, 0),
        ("Happy Easter!", EASTER, 1),
        ('It says "Happy Easter!"', EASTER, 1),
        ('It says "Happy Easter" in white', EASTER, 0),
        ('(b) "Happy Easter!"', EASTER, 1),
        ("Stop", STOPS, 0),
        ("Stop.", STOPS, 1),
        ("Stop?", STOPS, 2),
    ],
    "plain letters": [
        ("B", DOOR, 1),
        ("b.", DOOR, 1),
        ("B: Closed", DOOR, 1),
        ("B - Closed", DOOR, 1),
        ("B Closed", DOOR, 1),
        ("**B.** Closed", DOOR, 1),
        ("I would go with B", DOOR, 1),
        ("My choice: B", DOOR, 1),
        ("The best option is A", DOOR, 0),
        ("Therefore, B.", DOOR, 1),
        ("It's (a).", DOOR, 0),
        ("B is correct", DOOR, 1),
        ("First I look at the latch.\n\nB", DOOR, 1),
        ("d", ANIMALS, 3),
    ],
    "yes and no": [
        ("Yes", YES_NO, 0),
        ("No.", YES_NO, 1),
        ("A. Yes", YES_NO, 0),
        ("B. No, there is none.", YES_NO, 1),
        ("<think>no?</think>Yes", YES_NO, 0),
        (r"\boxed{No}", YES_NO, 1),
        ("Yes or no", YES_NO, None),
    ],
    "nobody could tell": [
        ("", DOOR, None),
        ("...", DOOR, None),
        ("A or B", DOOR, None),
        ("Both A and B", DOOR, None),
        ("Either (a) or (b)", DOOR, None),
        ("The answer is A or B.", DOOR, None),
        ("A. Closed", DOOR, None),
        ("(b) Open", DOOR, None),
        ("E", DOOR, None),
        ("I can't tell.", DOOR, None),
        ("Neither A nor B", DOOR, None),
        ("open or closed", DOOR, None),
        ("A vitamin", DOOR, None),
        ("T-shirt A-frame", DOOR, None),
    ],
}
ROWS = [(kind, *row) for kind, rows in WORDINGS.items() for row in rows]


def test_the_table_is_large_enough() -> None:
    assert len({(said, options) for _, said, options, _ in ROWS}) >= 120


@pytest.mark.parametrize(("kind", "said", "options", "named"), ROWS)
def test_what_a_person_reads(kind: str, said: str, options: tuple[str, ...], named: int | None) -> None:
    assert read(said, options).option == named, kind


# {L} the letter, {M} another one, {T} its text, {U} the other's, {ALL} the options as the prompt shows them
EVERY_WAY = [
    "{L}", "{l}", "({l})", "({L}).", "{L}.", "**{L}**", "[{L}]", "{L}. {T}", "({l}) {T}", "{L}: {T}", "{L}) {T}.",
    "The answer is {L}.", "The correct answer is ({l}) {T}.", "Answer: {L}", "Option {L}", "I would go with {L}",
    "{T}", "{T}.", "The answer is {T}", "Answer: {T}", "**{T}**", "<think>{M} or {L}? {U}</think>{L}",
    "<think>{U}?</think>{T}", "<answer>{L}</answer>", "<answer>{T}</answer>", "\\boxed{{{L}}}", "\\boxed{{{T}}}",
    "{{\"answer\": \"{L}\"}}", "（{L}）", "答案是{L}。", "{L}, not {M}", "The answer is {L}. Option {M} is wrong.",
    "{L}\nOption {M} would need more.", "It is option {L}, not option {M}.", "{ALL}\nAnswer: {L}", "{ALL}\n{T}",
    "{L} because {M} is wrong", "{L} is correct.",
]  # fmt: skip


@pytest.mark.parametrize("wording", EVERY_WAY)
def test_the_released_pixmmvp_options_in_every_wording(wording: str) -> None:
    table = Path(__file__).resolve().parents[1] / "../shared/data/pixmmvp/visual_patterns.csv"
    if not table.exists():
        pytest.skip("../shared/data/pixmmvp absent")
    wrong = []
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        options = published_options(row["Options"])
        shown = " ".join(f"({'ab'[i]}) {text}" for i, text in enumerate(options))
        for said in (0, 1):
            other = 1 - said
            text = wording.format(
                L="AB"[said], l="ab"[said], M="AB"[other], T=options[said], U=options[other], ALL=shown
            )
            for right in (0, 1):
                verdict = grade_letter(text, options, right, Fidelity.CORRECTED)
                if verdict.correct is not (said == right):
                    wrong.append((text, options, verdict.reason))
    assert len(rows) == 300
    assert not wrong, f"{len(wrong)}: {wrong[:6]}"
