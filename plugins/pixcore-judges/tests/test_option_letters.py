"""The rule for `corrected` letters: wordings by kind, with what a person reads, or None where nobody could tell."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pixcore_judges.config import ExactMatchConfig
from pixcore_judges.exact_match import ExactMatch
from pixcore_judges.option_letters import grade_letter, published_options, read

from pixcore.records import Fidelity

DOOR = ("Open", "Closed")
ANIMALS = ("A dog", "A cat", "A bird", "A fish")
EASTER = ('"Happy Easter"', '"Happy Easter!"')
STOPS = ("Stop", "Stop.", "Stop?")
COUNTS = ("1", "2")
YES_NO = ("Yes", "No")
SIDES = ("Left", "Right")
FACING = ("Facing the camera", "Not facing the camera")
PANES = ("Window", "Window pane")
NINE = ("red", "blue", "green", "black", "white", "pink", "grey", "brown", "gold")
TF = ("True", "False")
SHUT = ("The door is open", "The door is shut")

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
        (r"So $\boxed{\langle H\rangle \ll E}$ holds." "\n\n**Answer: B**", ANIMALS, 1),
        (r"\boxed{42} is the width. The answer is C.", ANIMALS, 2),
        (r"The answer is A. \boxed{42}", ANIMALS, None),
        (r"\boxed{E}. The answer is none of these: A is off.", ANIMALS, None),
        (r"\boxed{B}. Answer: A", ANIMALS, 1),
        (r"\boxed{42}. The answer is A cat.", ANIMALS, None),
        (r"\boxed{42}. The answer is not B. The answer is C", ANIMALS, 2),
        (r"\boxed{42}. The answer is B or C", ANIMALS, None),
        (r"\boxed{42}. The wrong answer is B", ANIMALS, None),
        (r"\boxed{42}. If the answer is B, I am wrong", ANIMALS, None),
        (r"\boxed{42}. Answer: B is wrong", ANIMALS, None),
        ("The door is open in A. <|begin_of_box|>B<|end_of_box|>", DOOR, 1),
        ("It isn't open.<|begin_of_box|>(b) Closed", DOOR, 1),
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
        ("A dog or a cat", ANIMALS, None),
        ("A dog, or maybe a cat", ANIMALS, None),
        ("A cat and a fish.", ANIMALS, None),
        ("A dog, not a cat", ANIMALS, 0),
        ("A open, since a closed door has no gap", DOOR, 0),
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
    "ruled out by its words": [
        ("Open is wrong; closed.", DOOR, 1),
        ("Open would be wrong. Closed.", DOOR, 1),
        ("Not open. Closed.", DOOR, 1),
        ("Closed is wrong; open.", DOOR, 0),
        ("It isn't open; it's closed.", DOOR, 1),
        ("Open? No. Closed.", DOOR, 1),
        ("Open is incorrect, so closed.", DOOR, 1),
        ("The door can't be open, so it is closed.", DOOR, 1),
        ("A dog is wrong; a cat.", ANIMALS, 1),
        ("Not a dog, not a cat: a bird.", ANIMALS, 2),
        ("Open is not wrong.", DOOR, 0),
        ("Open is impossible here: closed.", DOOR, 1),
        ("Closed seems false. Open.", DOOR, 0),
        ("A. Open is wrong. B. Closed is right.", DOOR, 1),
        ("Open is not correct; closed is.", DOOR, 1),
        ("Left is ruled out, so right.", SIDES, 1),
        ("A bird is excluded and a fish is excluded; it is a cat.", ANIMALS, 1),
        ("B. Closed would be wrong. A.", DOOR, 0),
        ("Open must be wrong, closed must be right.", DOOR, 1),
    ],
    "options told, then an answer": [
        ("Option A is open; option B is closed. The image shows a closed door.", DOOR, 1),
        ("A is open and B is closed. The door is open.", DOOR, 0),
        ("Option A says open, option B says closed. I see a closed door.", DOOR, 1),
        ("A means open, B means closed; the picture has a closed one.", DOOR, 1),
        ("A: Open. B: Closed. From the latch, closed.", DOOR, 1),
        ("(a) is open, (b) is closed; correct is (b).", DOOR, 1),
        ("The choices are open (A) and closed (B). It is closed.", DOOR, 1),
        ("Option A is a dog, option B is a cat, option C is a bird and option D is a fish. I see a bird.", ANIMALS, 2),
        ("Option A is open; option B is closed.", DOOR, None),
        ("The choices are open (A) and closed (B).", DOOR, None),
        ("A is open, B is closed, and I can't tell.", DOOR, None),
        ("Option A: Open; Option B: Closed. My answer is option B.", DOOR, 1),
        ("A is open while B is closed; I pick B.", DOOR, 1),
        ("A says 'Open' and B says 'Closed'. Closed is right.", DOOR, 1),
        ('Option (a) is "Open", option (b) is "Closed". It is (a).', DOOR, 0),
        ('A reads "Happy Easter"; B reads "Happy Easter!". The sign says "Happy Easter!"', EASTER, 1),
        ("A) is a dog, B) is a cat, C) is a bird, D) is a fish. D.", ANIMALS, 3),
        ("Open (A) or closed (B)? B.", DOOR, 1),
        ("A is open, B is closed. Both look possible.", DOOR, None),
        ("A is closed and B is open. The door is closed.", DOOR, None),
        ("A is true and B is false. The statement is false.", TF, 1),
    ],
    "a letter beside another one's text": [
        ("Closed (A)", DOOR, None),
        ("It is closed (A).", DOOR, None),
        ("The bird (D)", ANIMALS, None),
        ("The bird (C)", ANIMALS, 2),
        ("It is closed (B).", DOOR, 1),
        ("2 (A)", COUNTS, None),
    ],
    "options that are alike": [
        ("Open", ("Open", "Open"), None),
        ("It is open.", ("Open", "Open"), None),
        ("B", ("Open", "Open"), 1),
    ],
    "what would be": [
        ("If the door were open, the answer would be A. But it is closed.", DOOR, 1),
        ("If the door had been open, the correct answer would have been option A.", DOOR, None),
        ("If I had to choose, the answer would be A.", DOOR, 0),
        ("If one had to choose, the answer would be B.", DOOR, 1),
        ("If it were up to me, the answer would be B.", DOOR, 1),
        ("Even if the light was poor, the answer would be B.", DOOR, 1),
        ("A is the least likely.", DOOR, None),
        ("B is the least plausible, so A.", DOOR, 0),
        ("A is at least plausible", DOOR, 0),
        ("A) wrong\nB) right", DOOR, 1),
        ("A is true", DOOR, 0),
    ],
    "nobody and nothing": [
        ("There is nothing.", YES_NO, 1),
        ("There is nobody in the picture.", YES_NO, 1),
        ("There are none.", YES_NO, 1),
        ("I see nothing.", YES_NO, 1),
        ("Nothing is visible.", YES_NO, 1),
        ("Nobody is in the picture.", YES_NO, 1),
        ("Nothing blocks the view.", YES_NO, None),
        ("None are present.", YES_NO, 1),
        ("There is nothing but a dog.", YES_NO, 0),
        ("I see nothing other than a dog.", YES_NO, 0),
        ("Nothing suggests that there is a dog.", YES_NO, None),
        ("It is nothing but closed.", DOOR, 1),
    ],
    "a change of mind": [
        ("A... wait, B.", DOOR, 1),
        ("A. Actually, B.", DOOR, 1),
        ("At first I thought A, but it is B.", DOOR, 1),
        ("I was going to say open, but it is closed.", DOOR, 1),
        ("The answer is A. No, wait: the answer is B.", DOOR, 1),
        ("It looks open at first, but it's closed.", DOOR, 1),
        ("Open. Wait, no: closed.", DOOR, 1),
        ("B — sorry, A.", DOOR, 0),
        ("The answer is A. Correction: B.", DOOR, 1),
        ("A? Wait. B.", DOOR, 1),
        ("It might be a dog, but it is a cat.", ANIMALS, 1),
        ("A seems right, but B is correct.", DOOR, 1),
        ("B. I thought of A first.", DOOR, 1),
        ("B, actually.", DOOR, 1),
        ("It's actually B.", DOOR, 1),
        ("B is right, but it could be cleaner.", DOOR, 1),
        ("Closed, but it might look open.", DOOR, None),
    ],
    "hedges": [
        ("Probably B.", DOOR, 1),
        ("I think it's B", DOOR, 1),
        ("B, I guess", DOOR, 1),
        ("It could be A or B, but I'd say B.", DOOR, 1),
        ("Option A is correct, Option B is also correct.", DOOR, None),
        ("A is right. B is equally right.", DOOR, None),
        ("A is wrong, B is also wrong.", DOOR, None),
        ("Most likely closed.", DOOR, 1),
        ("It seems to be closed", DOOR, 1),
        ("Maybe A, maybe B.", DOOR, None),
        ("I can't decide between A and B.", DOOR, None),
    ],
    "said twice": [
        ("B B B", DOOR, 1),
        ("B\nB", DOOR, 1),
        ("The answer is B. Final answer: B", DOOR, 1),
        ("B. Closed. B", DOOR, 1),
        ("A\nB", DOOR, None),
        ("A, B", DOOR, None),
        ("The answer is A, closed.", DOOR, None),
        ("Both are correct", DOOR, None),
        ("None of the above", DOOR, None),
    ],
    "Markdown and code": [
        ("- B", DOOR, 1),
        ("* (b)", DOOR, 1),
        ("# Answer\nB", DOOR, 1),
        ("> B", DOOR, 1),
        ("| Answer |\n|---|\n| B |", DOOR, 1),
        ("__B__", DOOR, 1),
        ("***Answer:*** *B*", DOOR, 1),
        ("```\nB\n```", DOOR, 1),
        ("print('B')", DOOR, 1),
        ("~~A~~ B", DOOR, 1),
    ],
    "other languages": [
        ("La respuesta es B.", DOOR, 1),
        ("La réponse est (b).", DOOR, 1),
        ("Die Antwort ist B.", DOOR, 1),
        ("Ответ: B", DOOR, 1),
        ("Resposta: B", DOOR, 1),
        ("A resposta é B.", DOOR, 1),
        ("La risposta corretta è A.", DOOR, 0),
        ("الجواب B", DOOR, 1),
    ],
    "symbols": [
        ("✅ B", DOOR, 1),
        ("❌ A\n✅ B", DOOR, 1),
        ("→ B", DOOR, 1),
        ("B ✔", DOOR, 1),
        ("🅱️", DOOR, 1),
        ("✅ A ❌ B", DOOR, 0),
        ("A ❌\nB ✅", DOOR, 1),
        ("A: ❌, B: ✅", DOOR, 1),
        ("🅰", DOOR, 0),
        ("🅱 Closed", DOOR, 1),
        ("~~Open~~ Closed", DOOR, 1),
        ("B ❗", DOOR, 1),
        ("👉 (b)", DOOR, 1),
    ],
    "words within words": [
        ("Window pane", PANES, 1),
        ("Window", PANES, 0),
        ("The window pane is cracked", PANES, 1),
        ("Not facing the camera", FACING, 1),
        ("It is not facing the camera.", FACING, 1),
        ("Facing the camera", FACING, 0),
        ("The dog isn't facing the camera.", FACING, 1),
        ("Right", SIDES, 1),
        ("On the left side.", SIDES, 0),
        ("I think it is C", NINE, 2),
        ("I", NINE, 8),
        ("There are 2.", COUNTS, 1),
        ("2 dogs", COUNTS, 1),
    ],
    "JSON of other shapes": [
        ('{"choice": "B", "why": "A has a gap"}', DOOR, 1),
        ('{"final_answer": "B) Closed"}', DOOR, 1),
        ('answer = "B"', DOOR, 1),
        ('{"A": false, "B": true}', DOOR, 1),
    ],
    "without spaces": [
        ("B.Closed", DOOR, 1),
        ("b)closed", DOOR, 1),
        ("Answer:B", DOOR, 1),
        ("ANSWER IS B", DOOR, 1),
        ("(B)Closed", DOOR, 1),
        ("OptionB", DOOR, 1),
        ("option_b", DOOR, 1),
    ],
    "true and false": [
        ("B: False", TF, 1),
        ("A: True", TF, 0),
        ("False.", TF, 1),
        ("The answer is false.", TF, 1),
        ("B. False is right.", TF, 1),
        ("A: false, B: true", DOOR, 1),
        ("A = wrong; B = correct", DOOR, 1),
        ("True is wrong; false.", TF, 1),
    ],
    "undecided": [
        ("It is hard to choose between (a) and (b).", DOOR, None),
        ("Between A and B, B.", DOOR, 1),
        ("Torn between open and closed.", DOOR, None),
        ("A, B, C or D", ANIMALS, None),
        ("A and B", DOOR, None),
        ("A/B", DOOR, None),
        ("The choice between A and B is clear: A.", DOOR, 0),
    ],
    "in a sentence": [
        ("The door in the picture is closed, so the correct choice would be B.", DOOR, 1),
        ("Considering the latch, I'd go for B.", DOOR, 1),
        ("The latch points to B", DOOR, 1),
        ("My final answer is: **(B)**.", DOOR, 1),
        ("Final Answer: The final answer is B. I hope it is correct.", DOOR, 1),
        ("Looking at it, the animal is a bird.", ANIMALS, 2),
        ("The dog is on the left, so A.", SIDES, 0),
        ("There's no open door; it's closed.", DOOR, 1),
        ("The door is shut", SHUT, 1),
        ("B. The door is shut", SHUT, 1),
        ("Option B: the door is shut.", SHUT, 1),
        ("A: The door is open", SHUT, 0),
        ("Is the door open? No, the door is shut.", SHUT, 1),
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
    "{L} because {M} is wrong", "{L} is correct.", "{M}? No, {L}.", "{M}. Wait, {L}.", "{M}... actually {L}",
    "{L} is more likely than {M}.", "{M} is less likely than {L}.", "I would say {L} over {M}.",
    "Between {L} and {M}, {L}.", "The answer cannot be {M}, so it is {L}.",
    "({L}) {T} ✓\n({M}) {U} ✗", "({M}) {U} is wrong. ({L}) {T} is right.",
    "Die Antwort ist {L}, nicht {M}.", "La réponse est {L}, pas {M}.", "正解は{L}です。{M}ではありません。",
    "الإجابة: {L}",
]  # fmt: skip
NO_WAY = [
    "Both {L} and {M}", "{L} or {M}", "Neither {L} nor {M}.", "{T} or {U}", "It could be {T} or {U}.", "{L} oder {M}",
    "I can't say whether it is {L}.", "{L}或{M}", "{L}: 0.4, {M}: 0.6",
]  # fmt: skip


def test_an_answer_that_goes_on_with_blanks_is_read() -> None:
    """Where each blank was looked at from each, it took an hour."""
    assert read("It is open." + " " * 100_000 + "x", DOOR).option == 0
    assert read("It is open. <|channel|>final<|constrain|>" + " " * 300_000, DOOR).option == 0


@pytest.mark.parametrize("wording", EVERY_WAY)
def test_the_released_pixmmvp_options_in_every_wording(wording: str, shared: Path) -> None:
    table = shared / "data/pixmmvp/visual_patterns.csv"
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


@pytest.mark.parametrize("wording", NO_WAY)
def test_the_released_pixmmvp_options_where_nobody_could_tell(wording: str, shared: Path) -> None:
    with (shared / "data/pixmmvp/visual_patterns.csv").open(encoding="utf-8", newline="") as file:
        every = {published_options(row["Options"]) for row in csv.DictReader(file)}
    read_all_the_same = [
        (text, options, found.rule)
        for options in sorted(every)
        for said in (0, 1)
        if (text := wording.format(L="AB"[said], M="AB"[1 - said], T=options[said], U=options[1 - said]))
        and (found := read(text, options)).option is not None
    ]
    assert not read_all_the_same, f"{len(read_all_the_same)}: {read_all_the_same[:6]}"


BARE = [
    ("B", 1), ("b", 1), ("(b).", 1), ("**B**", 1), ("<think>A? Open?</think>\nB", 1), ("\\boxed{B}", 1), ("A", 0),
    ("（Ｂ）", 1), ("Closed", None), ("B. Closed", None), ("The answer is B", None), ("A B", None), ("E", None),
    ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "named"), BARE)
def test_bare_letters_alone(said: str, named: int | None) -> None:
    for right in (0, 1):
        verdict = grade_letter(said, DOOR, right, Fidelity.CORRECTED, bare_letters=True)
        assert verdict == ExactMatch(ExactMatchConfig(bare_letters=True)).grade("?", DOOR, right, said)
        assert verdict.correct is (None if named is None else named == right)


@pytest.mark.parametrize("fidelity", [Fidelity.PUBLISHED, Fidelity.PAPER])
def test_bare_letters_of_the_released_rule(fidelity: Fidelity) -> None:
    """Its words count there too, which the switch leaves out; the letter is read as released."""
    assert grade_letter("Closed", DOOR, 1, fidelity).correct
    assert not grade_letter("Closed", DOOR, 1, fidelity, bare_letters=True).correct
    assert grade_letter("The answer is (b).", DOOR, 1, fidelity, bare_letters=True).correct
