"""Read an option out of an answer: what accuracy under the third probing (A) and exact matching are made of.

`published` is the released evaluator's rule (protocol2_accuracy.py), which knows a bare letter or the bare text of the
right option and takes "A. Open" for wrong. `corrected` is `read`: the option's letter, or its words, in the usual ways
of saying them; what names none or several is unread. Its rules stand in their order, and the first that names exactly
one option decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pixcore.protocols import letter
from pixcore.records import Fidelity, Verdict

_LEADS = ("answer is", "answer is:", "answer:")

_ARTICLES = frozenset({"a", "an", "the"})
_LEFT_OUT = frozenset({"eliminate", "exclude", "excluding", "if"})
_NEGATIONS = frozenset({"not", "no", "never", "neither", "nor", "without", "cannot"})
_CLAUSES = re.compile(r"[,;:!?\n]|\.(?!\d)|\bbut\b")  # a denial ends with its clause
_SENTENCES = re.compile(r"[!?\n]|\.(?!\w)")
_REACH = 3  # words: "not really very open" denies "open", "not in doubt that it is open" does not

_YES_NO = frozenset({"yes", "no"})
_OPEN = frozenset({"whether", "if"})  # what follows them is not said to be so

# what is said of an option's words to rule them out
_REFUTED = re.compile(
    r"(?:(?:would|must|can|has to) )?(?:is|are|was|were|be|seems?|looks?) (?:(?!not\b)\w+ )?"
    r"(?:wrong|incorrect|false|impossible|excluded|eliminated|ruled out|not (?:right|correct|true|possible))\b"
)

# whether something is there, in the same words either way
_IS_THERE = re.compile(
    r"\bthere (?:is|are|was|were)\b|\b(?:i|we|you) (?:can )?see\b|\b(?:is|are) (?:visible|present)\b"
)
_IS_NOT_THERE = re.compile(
    r"\bthere (?:is|are|was|were) (?:no|not)\b|\b(?:not|cannot|never) see\b|\bsee no\b"
    r"|\b(?:is|are) not (?:visible|present)\b|^no\b"
)

# what is thought is no answer; what is marked as the answer is all of it
_THINKING = r"(?:think|thinking|thought|reasoning|reflection|scratchpad)"
_THOUGHT = re.compile(
    rf"[<◁\[]{_THINKING}[>▷\]].*?(?:[<◁\[]/{_THINKING}[>▷\]]|\Z)|\A.*[<◁\[]/{_THINKING}[>▷\]]", re.I | re.S
)
_NAME = r"(?:final[_ ]?)?(?:answer|option|choice|letter|prediction)"
_MARKED = (
    re.compile(rf"<{_NAME}>\s*((?:(?!<{_NAME}>).)*?)\s*(?:</{_NAME}>|\Z)", re.I | re.S),
    re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(rf"""["']{_NAME}["']\s*:\s*\[?\s*["']((?:[^"'\\]|\\.)*)["']""", re.I),
    re.compile(rf"""["']{_NAME}["']\s*:\s*([^\s"',}}]+)\s*[,}}]""", re.I),
)
_DRESS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf)\s*\{([^{}]*)\}|<(\w+)[^<>]*>([^<>]*)</\2>")
_TAGS = re.compile(r"<\|[^|<>]*\|>|</?(?:s|\w{2,})\s*/?>|```\w*")
_INSTEAD = re.compile(r"\b(?:rather than|instead of|as opposed to|and not|unlike)\b", re.I)
_STRUCK = re.compile(r"~~.*?~~", re.S)
_JOINED = re.compile(r"\b((?:option|choice|answer)(?=_[A-Za-z]\b)|[Oo]ption(?=[A-Z]\b)|[Cc]hoice(?=[A-Z]\b))_?")
# letters in squares and filled circles, which Unicode's compatibility forms leave as they are
_SYMBOLS = str.maketrans({first + i: chr(65 + i) for first in (0x1F150, 0x1F170) for i in range(26)} | {0xFE0F: None})
# what was said before is taken back, if an option is named afterwards
_TAKEN_BACK = re.compile(
    r"(?:^|[.,;:!?\n…—-])\s*(?:no,?\s+)?(?:wait|actually|on second thoughts?|correction|scratch that|sorry)"
    r"(?:,?\s+no)?\s*[,:;.…—-]+",
    re.I,
)
_TENTATIVE = re.compile(
    r"[^.!?\n]*\b(?:at first|first glance|initially|might|may|could|seem(?:s|ed)?|look(?:s|ed)?|appear(?:s|ed)?"
    r"|thought|going to|would have|tempt(?:ed|ing))\b[^.!?\n]*?\bbut\b",
    re.I,
)
_IS = r"(?:is|are|says?|means?|reads?|shows?|describes?|represents?|(?:stands? )?for)"
_QUESTION = re.compile(r"(?:(?<=[.!?\n])|\A)[^.!?\n]*\?")

# a letter stands alone; scripts without spaces may touch it
_EDGE = r"0-9_A-Za-z\u00c0-\u024f\u0370-\u052f'’"
_OPENS, _CLOSES = r"[\"'“‘`*_(\[{<「『【《$]", r"[\"'”’`*_)\]}>」』】》$]"
# what follows the letter A, and not the article
_GOES_ON = r"(?:is|was|isn't|because|since|as|or|and|but|not|would|looks|seems|fits|matches|due|based|with|for)\b"
_ONE = rf"{_OPENS}*\w{_CLOSES}*"
_CROSS = "❌✗✘✖"
# before a letter that is crossed out, or only weighed: "I can't choose between A and B"
_UNSAID = re.compile(rf"[{_CROSS}][^\S\n]*\Z|\bbetween\s+(?:{_ONE}\s*,\s*)*(?:{_ONE}\s*,?\s*(?:and|or)\s+)?\Z", re.I)
_ANSWER = re.compile(
    r"(?:(?<!wrong )(?<!incorrect )(?<!other )\b"
    r"(?:answer|solution|(?:correct|right|best) (?:option|choice|letter|one))\b"
    r"(?:\s+(?:is|would be|must be|should be|has to be)\b)?|答案(?:应该|应)?[是为選选]?|正解は?|答えは?|정답[은는]?)"
    r"\s*[:=\-]?\s*(?:(?:the\s+)?(?:option|choice|letter)\b|选项|選項)?\s*[:=]?\s*$",
    re.I,
)
_OPTION = re.compile(r"(?:\b(?:option|choice|letter)\s*[:=]?|选项|選項|选择?|選擇?)\s*$", re.I)
_CHOSEN = re.compile(
    r"\b(?:go(?:ing)? (?:with|for)|choose|pick|select|say|chose|picked|selected"
    r"|it['’]?s|it is|must be|should be|therefore|so|hence)"
    r"\s*[:,]?\s*$",
    re.I,
)
_RIGHT = re.compile(
    r"\s+(?:is|would be|must be|seems)\s+(?:(?:the|my|a|clearly|most likely)\s+)*"
    r"(?:correct|right|best|true|answer|choice)\b",
    re.I,
)
_WRONG = r"(?:wrong|incorrect|false|ruled out|excluded|eliminated|impossible)\b"
_RULED_OUT = re.compile(
    rf"\s+(?:(?:is|are|was|were)(?:\s+(?!not\b)\w+)?\s+(?:{_WRONG}|not\b(?!\s+{_WRONG}))"
    rf"|(?:is|are|was|were|does|do|did)n['’]t\b(?!\s+{_WRONG})|can(?:not|['’]t)\s+be\b|does not\b"
    rf"|would(?:n['’]t)?\s+(?!be\s+(?:right|correct|best|my\b|the\b)|fit|match|seem))|\s*[不错誤]"
    rf"|\s*[:=]\s*{_WRONG}|\s*[:=]?\s*[{_CROSS}]\s*(?:[\n,;]|\Z)",
    re.I,
)
_JOIN = re.compile(
    r"\s*,?\s*(?:or|and|[/&])\s*(?:the\s+)?(?:(?:answer|option|choice)\b(?:\s+is)?\s*[:=]?\s*)?|\s*[或和及]\s*", re.I
)


@dataclass(frozen=True)
class Reading:
    """What was read out of an answer.

    Attributes:
        option: Index of the named option; None if no rule could tell.
        rule: The rule that decided, or why none did.
    """

    option: int | None
    rule: str


def published_letter(answer: str) -> str:
    """Extract what the released evaluator compares: lower case, behind the last "answer is" or "answer:"."""
    text = answer.lower().strip()
    for lead in _LEADS:
        if lead in text:
            text = text.split(lead)[-1]
    return text.strip().rstrip(".:,").lstrip("(").rstrip(")")


def published_options(options: str) -> tuple[str, ...]:
    """Cut "(a) X (b) Y" into its texts as the released evaluator does: at everything in parentheses."""
    return tuple(part.strip() for part in re.split(r"\([^()]*\)", options)[1:])


def grade_letter(
    response: str,
    options: Sequence[str],
    answer: int,
    fidelity: Fidelity,
    *,
    released_options: str | None = None,
    bare_letters: bool = False,
) -> Verdict:
    """Grade an answer by the option that it names.

    Args:
        response: What the model said.
        options: The options' texts.
        answer: Index of the right one.
        fidelity: Whose rule.
        released_options: The options as the released files have them, for the `published` rule.
        bare_letters: Count a letter alone, not the option's words, whosever rule.
    """
    if fidelity.released:
        texts = published_options(released_options) if released_options else tuple(options)
        extracted = published_letter(response)
        words = {texts[answer].lower()} if answer < len(texts) and not bare_letters else set()
        right = {letter(answer)} | words
        return Verdict(extracted in right, f"released rule: read {extracted!r}")
    reading = bare(response, options) if bare_letters else read(response, options)
    if reading.option is None:
        return Verdict(None, reading.rule)
    named = letter(reading.option)
    return Verdict(
        reading.option == answer, f"names option {named}: {reading.rule}", {"rule": reading.rule, "option": named}
    )


def bare(response: str, options: Sequence[str]) -> Reading:
    """Find the option whose letter is the whole answer, but for brackets, marks, and what was thought before."""
    said = re.findall(r"\w+", unicodedata.normalize("NFKC", _final(response).translate(_SYMBOLS)).casefold())
    names = [letter(index) for index in range(len(options))]
    if len(said) == 1 and said[0] in names:
        return Reading(names.index(said[0]), "its bare letter")
    return Reading(None, "no bare letter")


def read(response: str, options: Sequence[str]) -> Reading:
    """Find the option that an answer names, by its letter or its words."""
    equal = _equal(response, options)
    if equal is None:
        answer = _final(response)
        equal = _equal(answer, options)
    if equal is not None:
        return Reading(equal, "its whole text")
    answer = unicodedata.normalize("NFKC", answer.translate(_SYMBOLS)).strip()
    answer, echoed = _without_echo(_JOINED.sub(r"\1 ", _STRUCK.sub(" ", answer)), options)
    if not words_of(answer):
        return Reading(None, "names several options" if echoed else "an empty answer")
    for ends in (_TAKEN_BACK, _TENTATIVE):
        *_, taken_back = [None, *(found.end() for found in ends.finditer(answer))]
        later = _read(answer[taken_back:], options) if taken_back is not None else None
        if later is not None and later.option is not None:
            return later
    return _read(answer, options)


def _read(answer: str, options: Sequence[str]) -> Reading:
    """Go through the rules."""
    asked = _QUESTION.sub(" ", answer).strip()
    answer = _INSTEAD.sub(", not", asked if words_of(asked) else answer)
    texts = [words_of(option) for option in options]
    doubtful = False
    for name, rule in _RULES:
        found = rule(answer, texts)
        if len(found) > 1 and name != "its letter":
            found = _spelt(answer, options, found)
        if len(found) == 1:
            return Reading(next(iter(found)), name)
        doubtful |= len(found) > 1
        if doubtful and name == "its letter":
            break
    return Reading(None, "names several options" if doubtful else "names no option")


def _equal(answer: str, options: Sequence[str]) -> int | None:
    """The option that the answer equals, the strictest measure first; options may differ in a full stop alone."""
    for measure in (str.strip, _folded, lambda text: _folded(text).rstrip(".")):
        found = [
            index for index, option in enumerate(options) if measure(option) and measure(option) == measure(answer)
        ]
        if len(found) == 1:
            return found[0]
    return None


def _folded(text: str) -> str:
    """Case and the quotes around a text do not matter."""
    return unicodedata.normalize("NFKC", text).casefold().strip().strip("\"'“”‘’`*").strip()


def _final(response: str) -> str:
    """The answer without what was thought before it, out of its tags, box or JSON."""
    answer = _THOUGHT.sub(" ", response)
    answer = _DRESS.sub(lambda found: found[1] or found[3] or "", answer) if "\\" in answer else answer
    for mark in _MARKED:
        inside = [found for found in mark.findall(answer) if found.strip()]
        if inside:
            answer = inside[-1].replace('\\"', '"')
            break
    answer = _DRESS.sub(lambda found: found[1] or found[3] or "", answer)
    return _TAGS.sub(" ", answer).strip()


def _without_echo(answer: str, options: Sequence[str]) -> tuple[str, bool]:
    """The answer without a list of all options, and whether there was one."""
    if len(options) < 2:
        return answer, False
    # a letter and its words, as a list or as a sentence has them; or the words and then their letter
    told = [
        re.sub(r"^(?:an?|the) ", "", unicodedata.normalize("NFKC", option).strip(), flags=re.I) for option in options
    ]
    texts = [rf"[\"'“]?(?:(?:an?|the)\s+)?{re.escape(text)}[\"'”]?" for text in told]
    listed = [
        rf"[\s*]*(?:\boption\s+)?[(\[]?\b{letter(index)}(?:[)\].:*]+(?:\s+{_IS}\b)?|\s+{_IS}\b)\s*{text}(?!\w)[\s*]*"
        for index, text in enumerate(texts)
    ]
    named = [rf"\s*(?<!\w){text}\s*[(\[]{letter(index)}[)\]]\s*" for index, text in enumerate(texts)]
    left = answer
    for said in (listed, named):
        echo = r"[,;.|/]?\s*(?:or\b|and\b|while\b|whereas\b)?".join(said)
        left = re.sub(rf"(?:\b(?:options?|choices)\s*(?:are\s*)?:?\s*)?{echo}", "\n", left, flags=re.I)
    return left.strip(" \t\r\n.,;"), left != answer


def _spelt(answer: str, options: Sequence[str], found: set[int]) -> set[int]:
    """Of options with the same words the one that the answer spells: "Happy Easter!" and not "Happy Easter"."""
    texts = {index: _folded(options[index]) for index in found}
    if len({tuple(words_of(text)) for text in texts.values()}) > 1:
        return found
    said = unicodedata.normalize("NFKC", answer).casefold()
    within = {index for index, text in texts.items() if text in said}
    return {i for i in within if not any(j != i and texts[i] in texts[j] for j in within)}


def words_of(text: str) -> list[str]:
    """List the words of a text: lower case, "n't" as "not", without articles unless there is nothing else."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("can't", "cannot")
    plain = plain.replace("there's", "there is")
    words = re.findall(r"\w+(?:[.,]\d+)*", re.sub(r"n't\b", " not", plain).replace("'s", ""))
    return [word for word in words if word not in _ARTICLES] or words


@dataclass(frozen=True)
class _Mention:
    """A letter that stands alone in an answer: which option's, where, and the text on its two sides."""

    index: int
    start: int
    end: int
    before: str
    after: str
    small: bool  # a bare lower-case letter, which needs something that announces it
    denied: bool


def _mentions(answer: str, texts: Sequence[list[str]]) -> list[_Mention]:
    """Letters of options that stand alone and are no article."""
    names = "".join(letter(index) for index in range(len(texts)))
    found = []
    alone = rf"(?<![{_EDGE}-])({_OPENS}*)([{names}{names.upper()}])({_CLOSES}*)(?![{_EDGE}-])"
    for match in re.finditer(alone, answer):
        before, after = answer[: match.start()], answer[match.end() :]
        bare = not match[1] and not match[3]
        if bare and match[2] in "aAI" and re.match(rf"[ \t]+(?!{_GOES_ON})\w", after):
            own = texts[names.index(match[2].lower())]
            if match[2] != "A" or not own or words_of(after)[: len(own)] != own or after.lower().startswith(" the"):
                continue
        clause = words_of(re.split(_CLAUSES, before)[-1])
        own = texts[names.index(match[2].lower())]
        denied = (
            bool((_NEGATIONS | _LEFT_OUT) & set(clause[-_REACH:]))
            or clause[-1:] == ["out"]
            or _UNSAID.search(before) is not None
            or (_RULED_OUT.match(_behind(after, own)) is not None and not _RULED_OUT.match(": " + " ".join(own)))
        )
        small = bare and match[2].islower()
        found.append(_Mention(names.index(match[2].lower()), match.start(), match.end(), before, after, small, denied))
    return found


def _behind(after: str, own: Sequence[str]) -> str:
    """What follows a letter, without the option's own words, which may stand between."""
    between = r"[^\w\n]+(?:(?:an?|the)\s+)?"
    found = re.match("".join(between + re.escape(word) for word in own), after, re.I) if own else None
    return after[found.end() :] if found else after


def _letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The letter that the answer announces, consists of, or starts with; with all that "or" and "and" join to it.

    A letter that is ruled out ("Choice B is wrong") is none.
    """
    mentions = _mentions(answer, texts)
    said = [one for one in mentions if not one.denied]
    gaps = [left.after[: right.start - left.end] for left, right in pairwise(mentions)]
    if gaps and all(re.fullmatch(r"[\s,;/|&]*", gap) for gap in (mentions[0].before, *gaps, mentions[-1].after)):
        return {one.index for one in mentions}
    announced = [one for one in said if _ANSWER.search(one.before) or (not one.small and _RIGHT.match(one.after))]
    if announced:
        return _told(announced[-1], mentions, texts)
    lines = [
        one for one in said if re.search(r"(?:^|\n)[\s>*#-]*$", one.before) and re.match(r"[\s.:,]*(?:\n|$)", one.after)
    ]
    if lines:
        return {index for one in lines for index in _told(one, mentions, texts)}
    first = [
        one
        for one in said
        if not one.before.strip() and (not one.small or re.match(rf"\s*[.,:;)\-—]|\s+{_GOES_ON}", one.after))
    ]
    if first:
        return _told(first[0], mentions, texts)
    optional = [one for one in said if _OPTION.search(one.before) or (not one.small and _CHOSEN.search(one.before))]
    return {index for one in optional for index in _told(one, mentions, texts)}


def _told(one: _Mention, mentions: Sequence[_Mention], texts: Sequence[list[str]]) -> set[int]:
    """A letter and those joined to it; and, where another option's text stands beside it, that one: nobody can tell."""
    place = mentions.index(one)
    joined = [bool(_JOIN.fullmatch(left.after[: right.start - left.end])) for left, right in pairwise(mentions)]
    for index in range(len(joined) - 2, -1, -1):  # of "A, B or C" all three
        between = mentions[index].after[: mentions[index + 1].start - mentions[index].end]
        joined[index] |= joined[index + 1] and between.strip() == ","
    first = last = place
    while first > 0 and joined[first - 1]:
        first -= 1
    while last < len(joined) and joined[last]:
        last += 1
    named = {mention.index for mention in mentions[first : last + 1]}
    claimed = re.match(rf"\s+{_IS}\b", one.after, re.I) if not _RIGHT.match(one.after) else None
    after = one.after[claimed.end() if claimed else 0 :].lstrip(" .:,)-—")
    beside = [words_of(re.split(ends, after)[0]) for ends in (r"\n|\.(?!\d)", r"\n|\.(?!\d)|[,;]|\band\b")]
    return named | {index for index, text in enumerate(texts) if text and text in beside and text != texts[one.index]}


def _whole(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The answer, its first or last sentence, or what it says after "answer is" or "answer:", is an option's text."""
    announced = re.split(r"\banswer(?:\s+is|\s*:)\s*:?", answer, flags=re.IGNORECASE)
    sentences = [words for part in _SENTENCES.split(answer) if (words := words_of(part))]
    for said in (
        [words_of(answer)],
        [words_of(announced[-1]), words_of(_SENTENCES.split(announced[-1])[0])] if announced[1:] else [],
        sentences[:1] + sentences[-1:],
    ):
        found = {index for index, text in enumerate(texts) if text and text in said}
        if found:
            return found
    return set()


def _yes_or_no(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """Where the options are yes and no: the first word, a clause's last one, or what is said to be there or not.

    Both are read by the same measure: what the answer denies of anything else is no more a "no" than what it affirms is
    a "yes".
    """
    if not _are_yes_and_no(texts):
        return set()
    clauses = [words for clause in re.split(_CLAUSES, answer) if (words := words_of(clause))]
    telling = clauses[:1] if clauses[0][0] in _YES_NO else [words for words in clauses if words[-1] in _YES_NO]
    said = {word for words in telling for word in words} & _YES_NO or {_presence(words) for words in clauses}
    return {index for index, (word,) in enumerate(texts) if word in said}


def _are_yes_and_no(texts: Sequence[list[str]]) -> bool:
    return sorted(texts) == [["no"], ["yes"]]


def _presence(clause: list[str]) -> str:
    """Whether a clause says that something is there: "yes", "no", or "" where it says neither."""
    text = " ".join(clause)
    if _OPEN & set(clause):
        return ""
    if _IS_NOT_THERE.search(text):
        return "no"
    return "yes" if _IS_THERE.search(text) and not _NEGATIONS & set(clause) else ""


def _loose_letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A letter in brackets, or a capital letter standing alone, that is not denied and is no article."""
    return {one.index for one in _mentions(answer, texts) if not one.small and not one.denied}


def _texts(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """An option's text occurs, not denied; the longest of overlapping ones. To deny one of two names the other."""
    if _are_yes_and_no(texts):
        return set()  # the "no" of "no fish" is not the answer
    return _affirmed(answer, [[text] if text else [] for text in texts])


def _telling_words(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A word occurs, and is not denied, that only one of the options has: "left" of "facing left / facing right"."""
    if _are_yes_and_no(texts):
        return set()
    own = [
        [[word] for word in text if all(word not in other for j, other in enumerate(texts) if j != index)]
        for index, text in enumerate(texts)
    ]
    return _affirmed(answer, own)


def _affirmed(answer: str, phrases: Sequence[Sequence[list[str]]]) -> set[int]:
    """Indices of options one of whose phrases is said and not denied.

    Args:
        answer: The answer.
        phrases: For each option the word sequences that name it.
    """
    clauses = [words_of(clause) for clause in re.split(_CLAUSES, answer)]
    said = [(word, number) for number, clause in enumerate(clauses) for word in clause]
    words = [word for word, _ in said]
    spans = [
        (start, start + len(phrase), index)
        for index, own in enumerate(phrases)
        for phrase in own
        for start in range(len(words) - len(phrase) + 1)
        if words[start : start + len(phrase)] == phrase
    ]
    longest = [span for span in spans if not any(_inside(span, other) for other in spans)]
    affirmed: set[int] = set()
    denied: set[int] = set()
    for start, end, index in longest:
        before = {word for word, clause in said[max(0, start - _REACH) : start] if clause == said[start][1]}
        after = " ".join(word for word, clause in said[end : end + 5] if clause == said[end - 1][1])
        (denied if _NEGATIONS & before or _REFUTED.match(after) else affirmed).add(index)
    if not affirmed and len(denied) == 1 and len(phrases) == 2:
        return {1 - next(iter(denied))}
    return affirmed


def _inside(span: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether a span of words is a part of a longer one."""
    return other[0] <= span[0] and span[1] <= other[1] and other[1] - other[0] > span[1] - span[0]


_RULES: tuple[tuple[str, Callable[[str, Sequence[list[str]]], set[int]]], ...] = (
    ("its letter", _letters),
    ("its whole text", _whole),
    ("yes or no", _yes_or_no),
    ("its text", _texts),
    ("a word that only it has", _telling_words),
    ("a letter in the sentence", _loose_letters),
)
