"""Find the option's letter that an answer announces, consists of or starts with.

A letter that is ruled out ("Choice B is wrong"), crossed out or only weighed ("between A and B") is not said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pixcore.protocols import letter
from pixcore_judges.wordings import CLAUSES, CROSSES, IS, NEGATIONS, NEGATIONS_ELSEWHERE, REACH, doubted, words_of

# what denies a letter: in words before it, here and in other languages
_DENIES = NEGATIONS | {"eliminate", "exclude", "excluding", "reject", "rejecting", "discard", "discarding", "if"}
_DENIES |= NEGATIONS_ELSEWHERE | {"noch"}  # "weder A noch B"

# a letter stands alone; scripts without spaces may touch it
_EDGE = r"0-9_A-Za-z\u00c0-\u024f\u0370-\u052f'’"
_OPENS, _CLOSES = r"[\"'“‘`*_(\[{<「『【《$]", r"[\"'”’`*_)\]}>」』】》$]"
# what follows the letter A, and not the article
_GOES_ON = (
    r"(?:is|was|isn't|because|since|as|or|and|but|not|would|looks|seems|fits|matches|due|based|with|for|over|than"
    r"|oder|und|noch|ist|ou|et|est|y|o|e|es|è|é|или|и|[B-Z])\b"
)
_ONE = rf"{_OPENS}{{0,8}}\w{_CLOSES}{{0,8}}"
# before a letter that is crossed out, left out, or only weighed: "I can't choose between A and B"
_UNSAID = re.compile(
    rf"[{CROSSES}][^\S\n]*\Z|\bbetween\s+(?:{_ONE}\s*,\s*)*(?:{_ONE}\s*,?\s*(?:and|or)\s+)?\Z"
    r"|\b(?:any(?:thing)?|all|every(?:thing)?)\s+(?:\w+\s+)?(?:but|except|besides)\s+\Z"
    r"|\bover\s+(?:the\s+)?(?:(?:option|choice)\s+)?\Z"
    r"|(?<!\beven )\bif\b(?!\s+(?:i|we|you|one|forced|pressed|it (?:was|were) up to)\b)"
    r"[^.!?\n]*\b(?:were|was|had)\b[^.!?\n]*\bwould (?:be|have been)\s+(?:(?:option|choice)\s+)?\Z"
    r"|\b(?:wrong|incorrect|false|(?:least|less) \w+|worst|worse)\s+(?:answer|option|choice|letter|one)\s*"
    r"(?:(?:is|would be|must be|should be)\b)?\s*:?\s*(?:(?:option|choice|letter)\s+)?\Z"
    r"|(?:不是|并非|並非|不(?:应|應)?[选選]|排除|除了|除)[^\S\n]*\Z",
    re.I,
)
_ANSWER = re.compile(
    r"(?:(?<!wrong )(?<!incorrect )(?<!other )\b"
    r"(?:answer|solution|conclusion|verdict|(?:correct|right|best) (?:option|choice|letter|one))\b"
    r"(?:\s+(?:is|would be|must be|should be|has to be)\b)?|答案(?:应该|应)?[是为選选]?|正解は?|答えは?|정답[은는]?)"
    r"[*_]{0,3}\s*[:=\-]?[*_]{0,3}\s*(?:(?:the\s+)?(?:option|choice|letter)\b|选项|選項)?\s*[:=]?\s*$",
    re.I,
)
_OPTION = re.compile(r"(?:\b(?:option|choice|letter)\s*[:=]?|选项|選項|选择?|選擇?)\s*$", re.I)
_CHOSEN = re.compile(
    r"\b(?:go(?:ing)? (?:with|for)|choose|pick|select|say|think|guess|chose|picked|selected|prefer"
    r"|it['’]?s|it is|must be|should be|therefore|so|hence)"
    r"\s*[:,]?\s*$",
    re.I,
)
_RIGHT = re.compile(
    r"\s+(?:is|would be|must be|seems)\s+(?:(?:the|my|a|clearly|most likely|also|equally)\s+)*"
    r"(?:correct|right|best|true|answer|choice)\b(?!\s+(?:only\s+)?(?:if|had|were)\b)",
    re.I,
)
_TOO = re.compile(r"\s+(?:\w+\s+){1,2}(?:also|equally)\b", re.I)
_SIGN = r"[)\]\"”’*]*\s*(?:[:=→|]|[-=]>)"
_WRONG = (
    r"(?:wrong|out\b(?! of)|incorrect|false|ruled out|excluded|eliminated|rejected|discarded|dismissed"
    r"|impossible|unlikely|improbable|implausible|less|worse"
    r"|(?<!at )least (?:likely|plausible|probable|fitting|suitable))\b"
)
_RULED_OUT = re.compile(
    rf"\s+(?:(?:is|are|was|were|seems?|looks?|fits|matches)(?:\s+(?!not\b)\w+)?\s+(?:{_WRONG}|not\b(?!\s+{_WRONG}))"
    rf"|(?:can|must|should|has to|have to)\s+(?:\w+\s+)?be\s+{_WRONG}|ha(?:s|ve)\s+been\s+{_WRONG}"
    rf"|(?:is|are|was|were|does|do|did)n['’]t\b(?!\s+{_WRONG})|can(?:not|['’]t)\s+be\b|does not\b"
    rf"|(?:would|could|might)\s+(?:be|have been)\s+(?:\w+\s+){{1,3}}(?:only\s+)?(?:if|had|were)\b"
    rf"|would(?:n['’]t)?\s+(?!be\s+(?:right|correct|best|my\b|the\b)|fit|match|seem))"
    r"|\s+(?:ist|sind)\s+(?:nicht|falsch)\b|\s+(?:n['’]est pas|est (?:fausse?|incorrecte?))\b"
    r"|\s+(?:es|é|è)\s+(?:incorrect|fals|errad|sbagliat|errat)[ao]\b|\s+(?:no es|não é|non è)\b|\s+не"
    r"|\s*(?:选项|選項)?\s*[是]?[不错錯誤]|\s*(?:では|じゃ)な|\s*は(?:間違|誤|不正解|違)"
    r"|\s*[이가] 아니|\s*[은는] (?:틀|오답)"
    rf"|\s*{_SIGN}\s*{_WRONG}|\s+{_WRONG}\s*(?:[\n;.,]|\Z)"
    rf"|\s*{_SIGN}\s*no\s*(?:[\n;.]|\Z|,\s*{_ONE}{_SIGN})|\s*[:=]?\s*[{CROSSES}]\s*(?:[\n,;]|\Z)",
    re.I,
)
# "A - false; B - true", "(a) wrong (b) right": a list that says of each what it is
_MARKED_WRONG = re.compile(
    r"[)\]\"”’*]*\s*[-–—.(\[]\s*(?:wrong|incorrect|false)\b\s*(?:[\n;.,)\]]|\Z)"
    r"|\s+(?:wrong|incorrect|false)\b\s*(?=[(\[])",
    re.I,
)
_SINGULAR = re.compile(r"\s+(?:is|was|has|would|could|seems|looks|refers|mentions|depicts|describes|shows|says)\b")
_JOIN = re.compile(
    r"\s*+[,?]*+\s*+(?:or|and|[/&+]|oder|und|ou|et|[yoeи]|или|أو)\s*+(?:(?:possibly|maybe|perhaps|also|the)\s+)*"
    r"(?:(?:answer|option|choice)\b(?:\s+is)?+\s*+[:=]?+\s*+)?"
    r"|\s*(?:[或和及与與とか]|还是|還是|または|또는|이나|나)\s*",
    re.I,
)
# between letters of which none is chosen: "A/B", "A? Maybe B?"
_NOTHING = re.compile(r"(?:[\s,;/|&+]|\?(?:\s*(?:or|and|maybe|perhaps|possibly)\b)?)*", re.I)
_NEAR = 200  # characters before and behind a letter that are looked at
_OTHER = re.compile(r"(?<!\w)[A-Za-z]/\Z")
# "A: 20 %, B: 80 %" weighs
_SCORE = re.compile(r"\s*[:=(]\s*[\"']?\d+(?:\.\d+)?\s*%?")


@dataclass(frozen=True)
class Mention:
    """A letter that stands alone in an answer.

    Attributes:
        index: Whose: the option's.
        start: Where it begins in the answer, with its brackets.
        end: Where it ends.
        before: The answer before it, as far as it matters.
        after: The answer behind it, as far as it matters.
        small: Whether it is a bare lower-case letter, which needs something that announces it.
        denied: Whether it is ruled out, or only weighed.
        said_wrong: Whether it is said to be wrong behind it.
    """

    index: int
    start: int
    end: int
    before: str
    after: str
    small: bool
    denied: bool
    said_wrong: bool


def mentions_of(answer: str, texts: Sequence[list[str]]) -> list[Mention]:
    """List the letters of options that stand alone and are no article."""
    names = "".join(letter(index) for index in range(len(texts)))
    found: list[Mention] = []
    alone = rf"(?<![{_EDGE}-])({_OPENS}{{0,8}})([{names}{names.upper()}])({_CLOSES}{{0,8}})(?![{_EDGE}-])"
    for match in re.finditer(alone, answer):
        before, after = answer[: match.start()][-_NEAR:], answer[match.end() : match.end() + _NEAR]
        before = before if match.start() <= _NEAR else f"…{before}"  # the answer does not begin here
        bare = not match[1] and not match[3]
        own = texts[names.index(match[2].lower())]
        of_others = _OTHER.search(before) is not None and before[-2].lower() not in names
        if of_others or re.match(rf"/(?![{names}])[a-z]\b", after, re.I):
            continue  # "N/A"
        article = bare and match[2] in "aAI" and re.match(rf"[ \t]+(?!{_GOES_ON})[A-Za-z\u00c0-\u024f]", after)
        told = match[2] == "A" and own and words_of(after)[: len(own)] == own and not after.lower().startswith(" the")
        told = told and not _one_of_several(_behind(after, own), own, texts)
        if article and not told:
            continue
        clause = words_of(re.split(CLAUSES, before)[-1])
        wrong = _RULED_OUT.match(_behind(after, own))
        # "B is false" where B is "False" says nothing against it
        said_wrong = wrong is not None and not (own and set(own) <= set(words_of(wrong[0])))
        marked = _MARKED_WRONG.match(_behind(after, own))
        # nor does "A. False" say so where an option is "False"
        said_wrong |= marked is not None and not any(text and set(text) <= set(words_of(marked[0])) for text in texts)
        weighed = clause[-1:] == ["out"] or _UNSAID.search(before) is not None
        found.append(
            Mention(
                index=names.index(match[2].lower()),
                start=match.start(),
                end=match.end(),
                before=before,
                after=after,
                small=bare and match[2].islower(),
                denied=said_wrong or weighed or bool(_DENIES & set(clause[-REACH:])) or doubted(clause),
                said_wrong=said_wrong,
            )
        )
    return _denied_together(answer, found)


def _behind(after: str, own: Sequence[str]) -> str:
    """What follows a letter, without the option's own words, which may stand between."""
    between = r"[^\w\n]+(?:(?:an?|the)\s+)?"
    found = re.match("".join(between + re.escape(word) for word in own), after, re.I) if own else None
    return after[found.end() :].lstrip("\"'”’!?") if found else after


def _one_of_several(behind: str, own: Sequence[str], texts: Sequence[list[str]]) -> bool:
    """Whether another option's text is joined to an option's: "a cat or a dog"."""
    joined = _JOIN.match(behind)
    words = words_of(behind[joined.end() :]) if joined else []
    return any(text and text != own and words[: len(text)] == text for text in texts)


def _gaps(answer: str, mentions: Sequence[Mention]) -> list[str]:
    return [answer[left.end : right.start] for left, right in pairwise(mentions)]


def _joined(answer: str, mentions: Sequence[Mention]) -> list[bool]:
    """Whether each letter and the next one stand in one list: "A or B", "A, B or C", "A, B are"."""
    gaps = _gaps(answer, mentions)
    joined = [bool(_JOIN.fullmatch(gap)) for gap in gaps]
    for place in range(len(gaps) - 1, -1, -1):
        goes_on = joined[place + 1 : place + 2] == [True] or re.match(r"\s+(?:are|were)\b", mentions[place + 1].after)
        joined[place] |= bool(goes_on) and gaps[place].strip() == ","
        if re.fullmatch(r"\s*,\s*and\s+", gaps[place]) and _SINGULAR.match(mentions[place + 1].after):
            joined[place] = _RIGHT.match(mentions[place + 1].after) is not None  # "A, and B is a distractor"
    return joined


def _denied_together(answer: str, found: Sequence[Mention]) -> list[Mention]:
    """Deny all letters of a list together: "A, B and C are wrong", "not A, B or C"."""
    result, joined, gaps = list(found), _joined(answer, found), _gaps(answer, found)
    for place in range(len(joined) - 1, -1, -1):
        if joined[place] and result[place + 1].said_wrong:
            result[place] = replace(result[place], denied=True, said_wrong=True)
    for place, gap in enumerate(gaps):
        one = result[place]
        if joined[place] and one.denied and not one.said_wrong and not re.search(r"\band\b", gap):
            result[place + 1] = replace(result[place + 1], denied=True)
    return result


def letters_said(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """The letter that the answer announces, consists of, or starts with; with all that "or" and "and" join to it."""
    mentions = mentions_of(answer, texts)
    said = [one for one in mentions if not one.denied]
    gaps = _gaps(answer, mentions)
    if gaps and all(_NOTHING.fullmatch(gap) for gap in (mentions[0].before, *gaps, mentions[-1].after)):
        return {one.index for one in mentions}
    scored = {
        one.index for one in mentions if _SCORE.match(one.after) and _behind(one.after, texts[one.index]) == one.after
    }
    if len(scored) > 1:
        return scored
    listed = _listed(answer, mentions)
    announced = [
        one
        for one in said
        if _ANSWER.search(one.before) or (not one.small and _RIGHT.match(_behind(one.after, texts[one.index])))
    ]
    if announced:
        last = announced[-1]
        together = announced if _TOO.match(_behind(last.after, texts[last.index])) else [last]
        return {index for one in together for index in _told(one, listed, texts)}
    lines = [
        one for one in said if re.search(r"(?:^|\n)[\s>*#-]*$", one.before) and re.match(r"[\s.:,]*(?:\n|$)", one.after)
    ]
    if lines:
        return {index for one in lines for index in _told(one, listed, texts)}
    first = [
        one
        for one in said
        if not one.before.strip() and (not one.small or re.match(rf"\s*[.,:;)\-—]|\s+{_GOES_ON}", one.after))
    ]
    if first:
        return _told(first[0], listed, texts)
    optional = [one for one in said if _OPTION.search(one.before) or _CHOSEN.search(one.before)]
    return {index for one in optional for index in _told(one, listed, texts)}


def loose_letters(answer: str, texts: Sequence[list[str]]) -> set[int]:
    """A letter in brackets, or a capital letter standing alone, that is not denied and is no article."""
    return {one.index for one in mentions_of(answer, texts) if not one.small and not one.denied}


def _listed(answer: str, mentions: Sequence[Mention]) -> dict[int, set[int]]:
    """The options that stand in one list with each letter, itself among them; by where the letter begins."""
    listed: dict[int, set[int]] = {}
    together: set[int] = set()
    for one, goes_on in zip(mentions, [False, *_joined(answer, mentions)], strict=False):
        together = together if goes_on else set()
        together.add(one.index)
        listed[one.start] = together
    return listed


def _told(one: Mention, listed: Mapping[int, set[int]], texts: Sequence[list[str]]) -> set[int]:
    """A letter and those in a list with it; and, where another option's text stands beside it, that one too."""
    named = listed[one.start]
    claimed = re.match(rf"\s+{IS}\b", one.after, re.I) if not _RIGHT.match(one.after) else None
    after = one.after[claimed.end() if claimed else 0 :].lstrip(" .:,)-—")
    beside = [words_of(re.split(ends, after)[0]) for ends in (r"\n|\.(?!\d)", r"\n|\.(?!\d)|[,;]|\band\b")]
    return named | {index for index, text in enumerate(texts) if text and text in beside and text != texts[one.index]}
