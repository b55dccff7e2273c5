"""Find what an answer says in the end: out of its tags, box or JSON, without what it thinks, echoes or takes back.

What is left is read by `option_letters`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from pixcore.protocols import letter
from pixcore.records import word_of
from pixcore_judges.thoughts import THOUGHT

NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "without", "cannot", "hardly", "scarcely"})
_IN_LATIN = ("nicht", "kein", "keine", "weder", "ne", "pas", "ni", "non", "não", "nem", "niet", "geen")
NOBODY = "no|none|nothing|nobody"
NEGATIONS_ELSEWHERE = frozenset({*_IN_LATIN, "не", "ни", "ليس", "ليست", "لا"})
CLAUSES = re.compile(r"[;:!?\n]|,(?!\d{3}\b)|\.(?!\d)|\bbut\b")  # a denial ends with its clause
SENTENCES = re.compile(r"[!?\n]|\.(?!\w)")
REACH = 3  # words: "not really very open" denies "open", "not in doubt that it is open" does not

# what denies all that follows in its clause, however far: "I don't think that the door on the left is open"
_DOUBTS = re.compile(
    r"\b(?:not (?:\w+ )?(?:think|believe|suppose|suspect|appear|seem|look|likely|probable)"
    r"|(?:i|we) (?:(?!cannot|never|not)\w+ )?doubt|(?<!not )(?:unlikely|improbable) (?:that|to|it|for)"
    r"|nothing (?:that )?(?:suggests?|supports?|indicates?|shows?|says?|speaks for|points to)"
    r"|(?:no|any|little) (?:\w+ )?(?:signs?|indications?|evidence|hints?|proof) (?:that|of|for)|far from(?: being)?\Z)"
)
_DOUBTING = frozenset(
    {"not", "doubt", "unlikely", "improbable", "nothing", "no", "any", "little", "far"}
)  # one in each
_CONCLUDES = re.compile(r"\b(?:so|therefore|thus|hence|then|because|since|as|and|which means|rather|instead)\b")

_ARTICLES = frozenset({"a", "an", "the"})

# what is marked as the answer is all of it
_NAME = (
    r"(?:(?:final|correct|selected|chosen|predicted|best|my)[_ ]?)?"
    r"(?:answer|option|choice|letter|prediction|selection|response|result)"
)
_MARKED = (
    re.compile(rf"<{_NAME}>\s*((?:(?!<{_NAME}>).)*?)\s*(?:</{_NAME}>|\Z)", re.I | re.S),
    re.compile(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|\Z)", re.S),
    re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(rf"""["']{_NAME}["']\s*:\s*\[?\s*["']((?:[^"'\\]|\\.)*)["']""", re.I),
    re.compile(rf"""["']{_NAME}["']\s*:\s*([^\s"',}}]+)\s*[,}}]""", re.I),
)
_DRESS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf|mathcal)\s*\{([^{}]*)\}|<(\w+)[^<>]*>([^<>]*)</\2>")
_TAGS = re.compile(r"<\|[^|<>]*\|>|</?(?:s|\w{2,})\s*/?>|```\w*")
_STRUCK = re.compile(r"~~.*?~~", re.S)
_JOINED = re.compile(r"\b((?:option|choice|answer)(?=_[A-Za-z]\b)|[Oo]ption(?=[A-Z]\b)|[Cc]hoice(?=[A-Z]\b))_?")
# letters in squares and filled circles, which Unicode's compatibility forms leave as they are
_SYMBOLS = str.maketrans(
    {first + i: chr(65 + i) for first in (0x1F150, 0x1F170) for i in range(26)}
    | {0x2212: "-"}  # a minus is typed as a hyphen too
    | dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFE0F, 0xFEFF))  # of no width
)
CROSSES = "❌✗✘✖"
_MARKS = re.compile(rf"[{CROSSES}✓✔✅]")
_LETTER = re.compile(r"(?<![^\W_])[A-Z](?![^\W_])")

# a doubt that is none; a clause that says that nobody knows
_UNDOUBTED = re.compile(r"\b(?:no|without(?: any?)?|beyond(?: any?)?)\s+(?:doubt|question)\b", re.I)
_KNOWS = r"(?:sure|certain|clear|know|known|tell|say|said|determine|determined|decide|judge|see (?:whether|if))"
_UNKNOWN = re.compile(
    rf"\b(?:(?:not|(?:do|ca|is|are)n['’]t) (?:be |really |quite )*{_KNOWS}"
    rf"|cannot (?:be |really )*{_KNOWS}|unsure|uncertain|unclear|no (?:idea|clue)"
    rf"|(?:impossible|unable|hard|difficult|no way|not possible) to (?:be )?{_KNOWS})\b",
    re.I,
)
_CLAUSE = re.compile(r"(?:(?!\bbut\b)[^.,;:!?\n])+", re.I)
# "right" that agrees or points, and names no side
_AGREES = re.compile(
    r"\A\s*right\b[.,:;!]+(?=\s*\w)|\b(?:you are|you['’]re|that is|that['’]s|all) right\b|,\s*right\s*\?"
    r"|\bright (?=there|here|now|next to|beside|behind|above|below|in front)",
    re.I,
)

# letters that are only weighed
_BETWEEN = re.compile(r"\bbetween\s+(?:\W{0,3}[A-Z]\b\W{0,3}\s*)+(?:and|or)\s+\W{0,3}[A-Z]\b[)\].*]{0,3}", re.I)
# of two that are compared the second is not meant
_INSTEAD = re.compile(r"\b(?:rather than|instead of|as opposed to|and not|unlike|compared (?:to|with))\b", re.I)
_ALL_BUT = re.compile(
    r"\b(?:all|any(?:thing)?|every(?:thing|one)?)(?:\s+of\s+(?:them|these|those))?"
    r"\s+(?:but|except|besides)\b(?:\s+for\b)?",
    re.I,
)
_ONLY = re.compile(r"\b(?:nothing|none|nobody|no one)\s+(?:but|except|besides|other than)\b", re.I)
_THAN = re.compile(r"(?:\b(?:more|less|fewer)\s+)than(?=\s+\w+\W*(?:\Z|\n|[.,;]))|(?<=\w) than\b", re.I)
_LESS = re.compile(r"\b(?:less|worse|lower)\b[^.,;!?\n]{0,80}?\bthan\b", re.I)
_PREFERRED = re.compile(r"\b(prefer\w*\s+(?:the\s+)?(?:option\s+|choice\s+)?\W*\w+\W*?)\s+(?:to|over)\s+", re.I)

# what was said before is taken back, if an option is named afterwards
_TAKEN_BACK = re.compile(
    r"(?:^|[.,;:!?\n…—–-])\s*(?:(?:h?mm+|oops|no|oh)\b\W+){0,3}(?:"
    r"(?:wait|actually|on second thoughts?|correction|scratch that|sorry|hold on|my mistake)"
    r"(?:,?\s+no)?\s*[,:;.!…—–-]+"
    r"|(?:actually|make that|i mean|i meant|looking (?:again|closer)"
    r"|(?:on|upon|after) (?:an?\s)?(?:closer|further|second) (?:inspection|look|thought))\s"
    r"|no\s*[,:;.—–-]?\s*(?=(?:it['’]s\s|it is\s|the answer is\s)?[\W_]*(?-i:[A-Z])\b(?!['’])))",
    re.I,
)
_TENTATIVE = re.compile(
    r"\b(?:either|at first|first glance|initially|might|may|could|seem(?:s|ed)?|look(?:s|ed)?|appear(?:s|ed)?"
    r"|thought|going to|would have|tempt(?:ed|ing))\b",
    re.I,
)
_BUT = re.compile(r"\bbut\b", re.I)
_SENTENCE = re.compile(r"[^.!?\n]+")
IS = r"(?:is|are|says?|means?|reads?|shows?|describes?|represents?|(?:stands? )?for)"
_QUESTION = re.compile(r"(?:(?<=[.!?\n])|\A)[^.!?\n]*\?")

_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
# of "one" only what counts: "the one on the left" and "no one" do not
_ONE = re.compile(
    r"\b(?:(?<=only )|(?<=just )|(?<=exactly )|(?<=is )|(?<=see )|\A)one\b|\bone(?=\W*(?:[.!?,;\n]|\Z))", re.I
)
_MINUS = re.compile(r"\b(?:minus|negative)\s+(?=\d)", re.I)
_SIGN = r"(?:(?<![\w:)\]-])-(?=\d))?"
_NONE = re.compile(r"\bthere (?:is|are) (?:no|not any|none)\b|\A\W*(?:none|no)\b(?!,)", re.I)


def without_thoughts(response: str) -> str:
    """Cut what was thought off an answer, and take it out of its tags, box or JSON."""
    answer = THOUGHT.sub(" ", response)
    answer = _DRESS.sub(lambda found: found[1] or found[3] or "", answer) if "\\" in answer else answer
    for mark in _MARKED:
        inside = [found for found in mark.findall(answer) if found.strip()]
        if inside:
            answer = inside[-1].replace('\\"', '"')
            break
    answer = _DRESS.sub(lambda found: found[1] or found[3] or "", answer)
    return _TAGS.sub(" ", answer).strip()


def compatible(text: str) -> str:
    """Write full-width, circled and squared letters as plain ones, and nothing that has no width."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFKC", text.translate(_SYMBOLS)).strip()


def plain(text: str) -> str:
    """Write an answer's letters, ticks and crosses in one way, without what is struck out and doubts that are none."""
    answer = _UNDOUBTED.sub(" ", _JOINED.sub(r"\1 ", _STRUCK.sub(" ", compatible(text))))
    answer = re.sub(r"\[[xX]\]|☑", "✅", re.sub(r"\[[ _]?\]|☐", "❌", answer))
    mark, name = _MARKS.search(answer), _LETTER.search(answer)
    if mark and name and name.start() < mark.start():  # "A ✗ B ✓": each mark belongs to what stands before it
        answer = re.sub(rf"[^\S\n]*[.):=]?[^\S\n]*([{CROSSES}])[,;\n]?", r": \1\n", answer)
    return answer


def without_echo(answer: str, options: Sequence[str]) -> tuple[str, bool]:
    """The answer without a list of all options, and whether there was one."""
    if len(options) < 2:
        return answer, False
    # a letter and its words, as a list or as a sentence has them; or the words and then their letter
    told = [
        re.sub(r"^(?:an?|the) ", "", unicodedata.normalize("NFKC", option).strip(), flags=re.I) for option in options
    ]
    texts = [rf"[\"'“]?(?:(?:an?|the)\s+)?{re.escape(text)}[\"'”]?" for text in told]
    listed = [
        rf"[\s*]{{0,9}}(?:\boption\s+)?[(\[]?\b{letter(index)}"
        rf"(?:[)\].:*]+(?:\s+{IS}\b)?|\s+{IS}\b)\s*{text}(?!\w)[\s*]{{0,9}}"
        for index, text in enumerate(texts)
    ]
    named = [rf"\s{{0,9}}(?<!\w){text}\s{{0,9}}[(\[]{letter(index)}[)\]]\s*" for index, text in enumerate(texts)]
    left = answer
    for said in (listed, named):
        echo = r"[,;.|/]?\s*(?:or\b|and\b|while\b|whereas\b)?".join(said)
        left = re.sub(rf"(?:\b(?:options?|choices)\s*(?:are\s*)?:?\s*)?{echo}", "\n", left, flags=re.I)
    return left.strip(" \t\r\n.,;"), left != answer


def taken_back(answer: str) -> list[str]:
    """What an answer says after it takes something back, for each way of doing so."""
    ends = ([found.end() for found in _TAKEN_BACK.finditer(answer)], list(_tentative(answer)))
    return [answer[places[-1] :] for places in ends if places]


def _tentative(answer: str) -> Iterator[int]:
    """Where a "but" ends that follows something said with reserve in its sentence."""
    for sentence in _SENTENCE.finditer(answer):
        start = sentence.start()
        for but in _BUT.finditer(answer, *sentence.span()):
            if _TENTATIVE.search(answer, start, but.start()):
                yield but.end()
            start = but.end()


def _known(answer: str) -> str:
    """The answer without clauses that say that nobody knows; with a "no" that begins one."""
    left, at = [], 0
    for clause in _CLAUSE.finditer(answer):
        if _UNKNOWN.search(clause[0]):
            left.append(re.sub(r"\bno,\Z", "", answer[at : clause.start()], flags=re.I))
            at = clause.end()
    return " ".join((*left, answer[at:]))


def asserted(answer: str, *, compares: bool = True) -> str:
    """The answer without its questions and what it says not to know; of two that it compares one is not meant.

    Args:
        answer: The answer.
        compares: Whether "than" compares options; not where one of them has the word.
    """
    answer = _BETWEEN.sub(" ", answer)
    answer = _AGREES.sub(" ", answer) if words_of(_AGREES.sub(" ", answer)) else answer
    asked = _QUESTION.sub(" ", answer).strip()
    answer = _known(asked if words_of(asked) else answer)
    answer = _PREFERRED.sub(r"\1, not ", _ONLY.sub("only", answer))
    answer = _INSTEAD.sub(", not", _ALL_BUT.sub(", not", answer))
    return answer if _LESS.search(answer) or not compares else _THAN.sub(", not", answer)


def doubted(words: Sequence[str]) -> bool:
    """Whether what stands before in a clause denies what follows: "I don't think that", "there is no sign of"."""
    if _DOUBTING.isdisjoint(words):
        return False
    before = " ".join(words)
    found = [match.end() for match in _DOUBTS.finditer(before)]
    return bool(found) and not _CONCLUDES.search(before, found[-1])


def in_digits(text: str) -> str:
    """Write numbers in words, up to twenty, as digits; "there are no" is 0, and "minus 1" is -1."""
    text = _ONE.sub("1", _NONE.sub(" 0 ", text))
    digits = re.sub(
        rf"\b(?:{'|'.join((_NUMBERS[0], *_NUMBERS[2:]))})\b",
        lambda found: str(_NUMBERS.index(found[0].lower())),
        text,
        flags=re.I,
    )
    return _MINUS.sub("-", digits)


def folded(text: str) -> str:
    """Case and the quotes around a text do not matter."""
    return compatible(text).casefold().strip("\"'“”‘’`*").strip()


def words_of(text: str) -> list[str]:
    """List the words of a text: lower case, "n't" as "not", without articles unless there is nothing else.

    A number has its sign, "minus 1" as "-1"; the hyphen of "1-2" and of "answer:- 1" is none.
    """
    plain = compatible(text).casefold().replace("’", "'").replace("can't", "cannot")
    plain = _MINUS.sub("-", plain.replace("there's", "there is"))
    word = r"\w+" if plain.isascii() else word_of(plain)
    words = re.findall(rf"{_SIGN}{word}(?:[.,]\d+)*", re.sub(r"n't\b", " not", plain).replace("'s", ""))
    return [word for word in words if word not in _ARTICLES] or words
