"""What the model is asked and what it answers: the probing protocols' prompts about mini-world's scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from pixcore_mini_world import language
from pixcore_mini_world.kinds import COLOURS, KINDS
from pixcore_mini_world.language import Question
from pixcore_mini_world.scene import Scene, Thing

LETTERS = ("A", "B")


@dataclass(frozen=True)
class Turn:
    """One prompt and its answer.

    Attributes:
        prompt: what the user says, the image aside.
        answer: what the model should say.
        kind: what it exercises, for reports: "question state", "letter colour", "segment thing", ...
    """

    prompt: str
    answer: str
    kind: str

    @property
    def is_letter(self) -> bool:
        """Whether the answer ends with an option's letter."""
        return self.kind.startswith("letter")


def question_prompt(question: str, options: tuple[str, str]) -> str:
    """Write the prompt of the protocol ``question``."""
    return f"{question} (a) {options[0]} (b) {options[1]}"


def letter_prompt(question: str, options: tuple[str, str]) -> str:
    """Write the prompt of the protocol ``letter``, as the paper's published code puts it."""
    return (
        f"{question} Options:\nA. {options[0]}\nB. {options[1]}\n"
        "Answer with the option's letter from the given choices directly."
    )


def segment_prompt(expression: str) -> str:
    """Write the prompt of the protocol ``segment``."""
    return f"Identify {expression} in the scene."


def as_sentence(question: Question) -> Turn:
    """Ask a question that is answered in a sentence."""
    return Turn(question_prompt(question.text, question.options), question.sentence, f"question {question.category}")


def as_letter(question: Question) -> Turn:
    """Ask a question that is answered with a letter, behind the sentence that it follows from.

    With the letter alone as the answer a model of this size stays at chance: it can look a letter up for a word that
    has been said (`told_letter`), not yet for one that it would have to think of.
    """
    return Turn(
        letter_prompt(question.text, question.options),
        f"{question.sentence}\nAnswer:{LETTERS[question.answer]}",
        f"letter {question.category}",
    )


def as_bare_letter(question: Question) -> Turn:
    """Ask a question that is answered with the letter alone, as a model can that was taught words and lookup before."""
    return Turn(letter_prompt(question.text, question.options), LETTERS[question.answer], f"letter {question.category}")


def told_letter(question: Question) -> Turn:
    """Ask a letter question behind the sentence that answers it: no image is needed, only the lookup."""
    prompt = f"{question.sentence} {letter_prompt(question.text, question.options)}"
    return Turn(prompt, LETTERS[question.answer], "letter told")


def random_question(scene: Scene, rng: Random) -> Question:
    """Draw a question about something that is there: attributes twice as often as colours, then positions."""
    index = rng.randrange(len(scene.things))
    thing = scene.things[index]
    coloured = rng.random() < 0.3
    roll = rng.random()
    if roll < 0.48:
        attribute = rng.randrange(len(thing.spec.attributes))
        return language.ask_attribute(scene, index, attribute, rng, coloured=coloured)
    if roll < 0.85:
        parts: list[str | None] = list(thing.spec.parts[1:])
        if len(scene.of_kind(thing.kind)) == 1:
            parts += [None, thing.spec.parts[0]]
        return language.ask_colour(scene, index, rng.choice(parts), rng, coloured=coloured)
    return language.ask_position(scene, index, rng, horizontal=rng.random() < 0.5, coloured=coloured)


def random_presence(scene: Scene, rng: Random) -> Question:
    """Draw a question whether something that is there is there."""
    index = rng.randrange(len(scene.things))
    thing = scene.things[index]
    twins = len(scene.of_kind(thing.kind)) > 1
    noun = f"{thing.colour} {thing.kind}" if twins or rng.random() < 0.4 else thing.kind
    return language.ask_presence(scene, noun, index, rng)


def either_presence(scene: Scene, rng: Random) -> Question:
    """Draw a question whether something is there: half of the time it is."""
    if rng.random() < 0.5:
        return random_presence(scene, rng)
    return language.ask_presence(scene, absent_noun(scene, rng)[0], None, rng)


def absent_noun(scene: Scene, rng: Random) -> tuple[str, str]:
    """Draw a noun phrase that names nothing in the scene: "fish", or "red fish" beside a blue one; and its kind."""
    if rng.random() < 0.4:
        thing: Thing = rng.choice(scene.things)
        taken = {other.colour for other in scene.of_kind(thing.kind)}
        return f"{rng.choice([c for c in COLOURS if c not in taken])} {thing.kind}", thing.kind
    present = {thing.kind for thing in scene.things}
    kind = rng.choice([kind for kind in KINDS if kind not in present])
    return (f"{rng.choice(list(COLOURS))} {kind}" if rng.random() < 0.3 else kind), kind


def identify(scene: Scene, index: int, part: str | None, rng: Random) -> Turn:
    """Ask to segment a thing or a part."""
    ref = language.reference(scene, scene.things[index], coloured=rng.random() < 0.4)
    return Turn(
        segment_prompt(language.expression(ref, part)),
        language.describe(scene, index, part),
        "segment part" if part else "segment thing",
    )


def identify_present(scene: Scene, rng: Random) -> list[Turn]:
    """Ask to segment a thing that is there, and a part of one."""
    thing = identify(scene, rng.randrange(len(scene.things)), None, rng)
    index = rng.randrange(len(scene.things))
    return [thing, identify(scene, index, rng.choice(scene.things[index].spec.all_parts), rng)]


def identify_absent(scene: Scene, rng: Random) -> Turn:
    """Ask to segment something that is not there."""
    noun, kind = absent_noun(scene, rng)
    part = rng.choice((None, *KINDS[kind].all_parts))
    return Turn(
        segment_prompt(language.expression(f"the {noun}", part)), language.describe_absent(noun), "segment absent"
    )


def dialogue(scene: Scene, rng: Random, told: float = 0.1) -> list[Turn]:
    """Make up what is asked about one training scene: eight turns or so, about one in six on something absent.

    Args:
        scene: the scene.
        rng: where the choices come from.
        told: the share of letter questions that come with the sentence that answers them, image or not.
    """
    turns = []
    for _ in range(2 + (rng.random() < 0.25)):
        question = random_question(scene, rng)
        turns.append(told_letter(question) if rng.random() < told else as_letter(question))
    turns.append(as_sentence(random_question(scene, rng)))
    turns += identify_present(scene, rng)
    turns.append(identify_absent(scene, rng))
    presence = either_presence(scene, rng)
    turns.append(as_letter(presence) if rng.random() < 0.4 else as_sentence(presence))
    rng.shuffle(turns)
    return turns


def harder_dialogue(scene: Scene, rng: Random) -> list[Turn]:
    """Make up what a finished mini is asked to go on with: ten turns, four of them on what may be absent.

    Letters are asked for alone.
    """
    turns = [as_bare_letter(random_question(scene, rng)) for _ in range(3)]
    turns.append(as_bare_letter(either_presence(scene, rng)))
    turns += [as_sentence(random_question(scene, rng)), as_sentence(either_presence(scene, rng))]
    turns += [identify_absent(scene, rng) for _ in range(2)]
    turns += identify_present(scene, rng)
    rng.shuffle(turns)
    return turns


def lettered_dialogue(scene: Scene, rng: Random) -> list[Turn]:
    """Make up what teaches letters alone: six of nine turns ask for them, the rest keeps up what was learned before."""
    turns = [as_bare_letter(random_question(scene, rng)) for _ in range(5)]
    turns.append(as_bare_letter(either_presence(scene, rng)))
    turns.append(as_sentence(either_presence(scene, rng)))
    turns.append(identify_absent(scene, rng))
    turns.append(rng.choice(identify_present(scene, rng)))
    rng.shuffle(turns)
    return turns


FURTHER_DIALOGUES: dict[str, Callable[[Scene, Random], list[Turn]]] = {
    "further": harder_dialogue,
    "letters-alone": lettered_dialogue,
}
"""What a finished mini can be asked to go on with, by name."""
