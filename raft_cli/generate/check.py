"""Decide whether a reply may become a question or a target. Pure: no model, no disk."""

import re
from collections.abc import Sequence

from raft_cli.cot import (
    BEGIN,
    END,
    drop_quotes,
    escape,
    escape_span,
    locate_quote,
    parse_answer,
    replace_quotes,
    unescape,
)
from raft_cli.data import Answer, Chunk, Question
from raft_cli.language import (
    SAME,
    YES_NO,
    alike,
    content_words,
    detect_language,
    fold,
    is_cjk,
    numbers,
    same_figures,
    tokenise,
)

_NOT_ALONE = re.compile(
    r"\b(?:according to|based on|in|from|by|does|do|of) (?:the|this|these|that) "
    r"(?:given |provided |above |following )?"
    r"(?:passages?|text(?! (?:field|box|file|area|editor))|documents?|sections?|excerpts?|context(?! of)|articles?|"
    r"paragraphs?)\b"
    r"|\b(?:the|this) (?:passage|excerpt|given text|provided text|text above|document above)\b"
    r"|\b(?:mentioned|described|listed|shown|stated) (?:above|below)\b"
    r"|\b(?:above|following) (?:table|list|figure|passage)\b"
    r"|\b(?:table|list|figure) (?:above|below)\b"
    # Chinese words run together: 文本文件 (a text file), 上下文 (context) and 报文中 (in a datagram) refer to nothing.
    r"|(?<![文脚样版副基成日课剧])本(?:文|节(?![点能约])|段(?![时路线]))|[该这]段(?![时路线])|上述|如上所|以上(?:内容|文字|文本|表格)"
    r"|(?<![报密明英中日论原正条译祭作])文中|上文(?![件档本字化])|(?<!上)下文(?![件档本字化])|前文(?![件档本字化])|原文(?![件档])"
    r"|(?<![以线网马])[上下]表(?![面单达示现层])|(?<![^，,、的在从该些述])材料中"
    r"|(?:根据|依据)(?:材料|文档|文章|段落|文本)(?![类格大长编内])",
    re.IGNORECASE,
)
_MARK_END = re.compile(r"[?？][\"'”’」』）)]*$")
_LONGEST_QUESTION, _LONGEST_ANSWER = 600, 600
CLOSE = 80.0
_COVERED = 0.5
_LETTER = re.compile(r"[^\W\d_]")

FAULTS = {
    "truncated": ("The reply was cut off before its end.", "回复没有写完就被截断了。"),
    "empty": ("The reply was empty.", "回复是空的。"),
    "no-answer-tag": ("There is no line that begins with <ANSWER>:.", "没有以 <ANSWER>: 开头的一行。"),
    "several-answer-tags": ("<ANSWER>: must be written exactly once.", "<ANSWER>: 只能写一次。"),
    "empty-answer": ("There is nothing after <ANSWER>:.", "<ANSWER>: 后面没有内容。"),
    "long-answer": ("The line after <ANSWER>: must be at most one short sentence.", "<ANSWER>: 之后至多写一个短句。"),
    "unbalanced-quote-marks": (
        f"Each {BEGIN} needs its {END}, and quotes must stand before the answer line.",
        f"每个 {BEGIN} 都要有对应的 {END}，且引文要写在答案行之前。",
    ),
    "no-quote": (
        f"Nothing is quoted: copy the statement that settles it between {BEGIN} and {END}.",
        f"没有引文：请把作为依据的原话照抄在 {BEGIN} 与 {END} 之间。",
    ),
    "empty-quote": ("A quote is empty or too short to prove anything.", "有一处引文为空或太短，证明不了什么。"),
    "quote-not-found": (
        "A quote does not stand in the source word for word; copy it exactly.",
        "有一处引文与原文不是逐字相同，请照抄原文。",
    ),
    "one-sided": ("Quote at least one statement of each of the two documents.", "两段材料都至少要引用一句。"),
    "not-supported": (
        "The final answer uses words or numbers that stand neither in the quotes nor in the question.",
        "最后的答案使用了引文和问题中都没有的词语或数字。",
    ),
    "differs-from-given": (
        "The final answer is not the one between <GIVEN> and </GIVEN>; prove that one, if the source bears it out.",
        "最后的答案与 <GIVEN> 和 </GIVEN> 之间的不同；如果原文支持，请证明那个答案。",
    ),
    "wrong-language": ("It is written in another language than asked.", "所用语言不符合要求。"),
    "malformed-questions": (
        "No questions could be read from it: reply with JSON alone.",
        "读不出问题：请只回复 JSON。",
    ),
    "too-few-questions": ("There are too few questions.", "问题数量不够。"),
    "not-a-question": (
        "One of them is not a question that ends with a question mark.",
        "其中有一句不是以问号结尾的问题。",
    ),
    "not-self-contained": (
        "One of them refers to the passage instead of making sense on its own.",
        "其中有一个问题提到了材料本身，不能独立成立。",
    ),
    "repeated-question": ("One of them repeats another.", "其中有一个问题与别的重复。"),
    "holds-marks": (
        "One of them contains a mark such as <DOCUMENT> or <ANSWER>: that is reserved; describe it in words.",
        "其中有一个问题含有 <DOCUMENT>、<ANSWER>: 之类的保留标记，请改用文字描述。",
    ),
    "long-question": ("One of them is too long.", "其中有一个问题太长。"),
}


def describe_fault(fault: str, language: str) -> str:
    """Return what to tell the teacher about a fault, in the language of the prompt."""
    english, chinese = FAULTS.get(fault, (fault, fault))
    return chinese if language == "zh" else english


def find_question_fault(text: str, *, language: str, others: Sequence[str]) -> str:
    """Return why a question cannot be used, or an empty string.

    Args:
        language: Of its chunk; `other` matches anything.
        others: Questions of the same chunk that were accepted before.
    """
    if not _MARK_END.search(text) or len(text) < (5 if is_cjk(text) else 10):
        return "not-a-question"
    if len(text) > _LONGEST_QUESTION:
        return "long-question"
    if _NOT_ALONE.search(text):
        return "not-self-contained"
    if escape(text) != text:
        return "holds-marks"
    if not _matches_language(text, language):
        return "wrong-language"
    repeated = any(alike(text, other) >= SAME and same_figures(text, other) for other in others)
    return "repeated-question" if repeated else ""


def check_answer(
    text: str, *, question: Question, chunks: Sequence[Chunk], language: str, lexical: bool = True
) -> Answer | str:
    """Return the checked answer, quotes in the source's own words, or the name of the fault.

    Args:
        text: The reply, without think-block.
        lexical: Whether the support of the final answer is tested by words and numbers; False when a judge decides.
    """
    parsed = parse_answer(text)
    if parsed.fault:
        return parsed.fault
    if len(parsed.final) > _LONGEST_ANSWER:
        return "long-answer"
    located = []
    for quote in parsed.quotes:
        found = [place for chunk in chunks if (place := locate_quote(quote, chunk))]
        if not found:
            return "quote-not-found"
        located.append(next((place for place in found if place.exact), found[0]))
    quotes = tuple(item.quote for item in located)
    if {quote.chunk_id for quote in quotes} != {chunk.id for chunk in chunks}:
        return "one-sided"
    final = escape(unescape(parsed.final))
    if lexical and not _is_supported(parsed.final, [quote.text for quote in quotes], question):
        return "not-supported"
    if question.given and not _agree(parsed.final, question.given):
        return "differs-from-given"
    own_words = drop_quotes(parsed.reasoning)
    if _LETTER.search(own_words) and not _matches_language(own_words, language):
        return "wrong-language"
    texts = {chunk.id: chunk.text for chunk in chunks}
    reasoning = replace_quotes(
        parsed.reasoning, [escape_span(texts[quote.chunk_id], quote.start, quote.end) for quote in quotes]
    )
    return Answer(question.id, reasoning, quotes, final, repaired=sum(not item.exact for item in located))


def _is_supported(final: str, quotes: Sequence[str], question: Question) -> bool:
    """Test that the answer's numbers, and half of its other words, stand in the quotes or the question."""
    if fold(final).strip(" .。") in YES_NO:
        return True
    source = " ".join([*quotes, question.text])
    if set(numbers(final)) - set(numbers(source)):
        return False
    words = content_words(final)
    return not words or len(words & content_words(source)) >= _COVERED * len(words)


def _agree(final: str, given: str) -> bool:
    """Tell whether an answer is the one that came with a user's question, in other words at most."""
    one, other = tokenise(final), tokenise(given)
    if one == other:
        return True
    if not same_figures(final, given) or {fold(final).strip(" .。"), fold(given).strip(" .。")} & YES_NO:
        return False
    if f" {one} " in f" {other} " or f" {other} " in f" {one} ":
        return True
    words, wanted = content_words(final), content_words(given)
    return 2 * len(words & wanted) >= min(len(words), len(wanted)) > 0


def _matches_language(text: str, language: str) -> bool:
    if language == "other":
        return True
    if language == "en":
        return detect_language(text) in ("en", "other")
    return is_cjk(text)
