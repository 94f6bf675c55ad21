"""Tell whether a short answer declines to answer: a list of phrases in several languages. Pure.

A phrase counts where it makes up the whole answer, begins it, or (Japanese, Korean: the verb comes last) ends it. So
"Not available in version 2" answers a question, and "Not available" declines one.
"""

import re
from collections.abc import Sequence

from raft_cli.evaluate.normalise import SINGLE, clean

_SOURCES = "(?:documents?|contexts?|passages?|texts?|articles?|excerpts?|information|sources?|material|documentation)"
_THESE = rf"(?:the|these|this|those|any|any of the) (?:\w+ ){{0,2}}{_SOURCES}"
_STATE = (
    "(?:mention|say|state|specify|contain|provide|give|include|answer|indicate|address|describe|discuss|tell|cover)"
)
_LEAD = (
    rf"(?:(?:i am |i'm )?(?:very )?sorry[,.;:]? (?:but )?|unfortunately,? |apologies[,.;:]? (?:but )?"
    rf"|(?:based on|according to|from|given|in) {_THESE}(?: given| provided)?,? )*"
)
_BEGIN = [
    # English
    r"i (?:really |honestly )?(?:do not|don't) (?:know|have (?:enough|sufficient|any|the) (?:\w+ )?information)\b",
    r"i(?: am|'m) (?:not sure|unable to|not able to)\b",
    r"i (?:cannot|can not|can't|could not|couldn't) (?:answer|determine|find|say|tell|provide|confirm|infer)\b",
    r"(?:it|this|that|the answer|the question|this question) (?:cannot|can not|can't|could not) be "
    r"(?:determined|answered|found|inferred)\b",
    r"(?:it|this|that|the answer) is (?:not|nowhere) (?:clear|known|specified|mentioned|stated|provided|given)\b"
    rf"(?: (?:in|by|from) {_THESE})?[.!]?$",
    r"(?:there is |there's )?(?:not enough|insufficient) (?:information|context|evidence)\b",
    r"(?:there is |there's )no (?:\w+ )?(?:information|mention|answer)\b",
    r"no (?:relevant |such )?(?:information|answer) (?:is |was )?(?:provided|given|available|found|about|on)\b",
    rf"(?:none of |neither of )?{_THESE}(?: (?:given|provided)(?: here)?)? (?:do(?:es)? not|don't|doesn't|did not) "
    rf"(?:\w+ )?{_STATE}\b",
    rf"none of {_THESE}(?: (?:given|provided)(?: here)?)? {_STATE}s?\b",
    # Chinese
    "我?(?:不知道|不清楚|不确定(?!性)|没法回答|(?:无法|不能)(?:从.{0,12})?(?:回答|确定|判断|得知|知道|找到))",
    "(?:没有|缺少|缺乏)(?:足够|充分|相关|任何)的?(?:相关)?(?:信息|资料|依据|内容|答案)",
    "(?:信息|资料|材料|依据)不足",
    "(?:(?:提供|给出|给定|上述|以上|所给|这些|该|本|参考|现有)的?)?(?:文档|资料|材料|文本|文章|上下文|文中|原文|段落)[中里内]?"
    "(?:都|均|并)?(?:没有|未)(?:明确|直接)?(?:提及|提到|说明|给出|包含|涉及|指出|提供|记载|这个|该|相关)",
    # German, French, Spanish, Italian, Portuguese, Russian
    r"(?:das )?(?:weiss ich|ich weiss(?: es)?) nicht\b|ich kann .{0,40}nicht (?:beantworten|bestimmen|sagen)\b",
    r"(?:die|in den|aus den|im|der|das) (?:\w+ )?(?:dokumente?n?|texte?|unterlagen|kontext) .{0,40}"
    r"(?:nicht (?:erwähnt|genannt|angegeben|enthalten)|keine (?:angaben?|informationen|antwort))",
    r"(?:nicht genügend|keine) informationen\b",
    r"je ne (?:sais|peux|suis) pas\b|impossible de (?:répondre|déterminer)\b|pas (?:assez|suffisamment) d'information",
    r"(?:le|les|ces?) (?:documents?|textes?|passages?|contexte) (?:fournis? )?ne (?:\w+ ){1,2}pas\b",
    r"no (?:lo )?sé\b|no (?:puedo|es posible) (?:responder|determinar|saber)\b|no hay (?:suficiente )?información\b",
    r"(?:los?|el|estos?) (?:documentos?|textos?|contexto|pasajes?)(?: proporcionados?)? no "
    r"(?:menciona|dice|indica|especifica|contiene|proporciona)n?\b",
    r"non (?:lo )?so\b|não sei\b|(?:я )?не знаю\b",
]
_END = [
    "(?:わかりません|分かりません|回答できません|答えられません|(?:判断|特定)できません|情報が(?:不足しています|ありません))",
    "(?:文書|資料|文脈|テキスト|本文|ドキュメント).{0,30}(?:記載|記述|言及|説明)(?:が|は|されて|も)?(?:いません|ありません|いない|ない)",
    "(?:書かれて|含まれて)いません",
    "(?:모르겠(?:습니다|어요|다)|알 수 없(?:습니다|어요|음|다)|(?:답변|대답|답)할 수 없(?:습니다|음|다))",
    "정보가 (?:부족합니다|없습니다)",
    "(?:문서|본문|자료|지문)(?:에|에는|에서|에서는) .{0,30}(?:없습니다|않습니다|않다)",
]
_WHOLE = [
    rf"(?:unknown|unclear|unanswerable|n/?a|no answer|cannot say|not enough information|not (?:specified|mentioned|"
    rf"stated|provided|given|available|found|known|applicable|answerable|determinable)|(?:cannot|can not|can't) be "
    rf"(?:determined|answered))(?: (?:in|by|from|based on) {_THESE}(?: given| provided)?)?",
    "(?:未知|不详|不明|未提及|未提到|未说明|未提供|无答案|没有(?:提及|提到|说明|答案)|无从得知)",
    "(?:不明|不明です|記載なし|情報なし|該当なし)|(?:알 수 없음|정보 없음|모름)",
    "(?:unbekannt|nicht (?:angegeben|erwähnt|bekannt|genannt)|keine angaben?)",
    "(?:inconnue?|non (?:précisée?|mentionnée?|spécifiée?|disponible)|aucune information)",
    "(?:desconocid[oa]|no (?:especificad[oa]|mencionad[oa]|disponible|se menciona|se especifica))",
    "información insuficiente",
]
_LEAD_CJK = (
    "(?:(?:抱歉|对不起|很遗憾|申し訳ありませんが|죄송합니다만?)[,.。、]?"
    "|(?:根据|依据)(?:提供|给出|上述|以上|现有|所给|这些)?的?(?:文档|资料|材料|文本|信息|上下文|内容|文章),?)*"
)
_REFUSAL = re.compile(
    rf"{_LEAD}{_LEAD_CJK}(?:(?:{'|'.join(_BEGIN)})|(?:{'|'.join(_WHOLE)})[.!。]*$|.*(?:{'|'.join(_END)})[.!。]*$)",
    re.DOTALL,
)
_LONGEST = 400  # what has not declined by then goes on to something else
_YET = re.compile(r"\bbut (?!i\b)|\bhowever\b|\baber\b|\bmais\b|\bpero\b|但|不过|然而|しかし|하지만")


def is_refusal(text: str, phrases: Sequence[str] = ()) -> bool:
    """Tell whether a short answer declines to answer.

    One that goes on with "but" or the like has something to say and is none.

    Args:
        phrases: Further ways to begin a refusal.
    """
    said = clean(text[:_LONGEST])
    if any(_begins(said, clean(phrase)) for phrase in phrases):
        return True
    match = _REFUSAL.match(said)
    return match is not None and not _YET.search(said, match.end())


def _begins(said: str, phrase: str) -> bool:
    """Tell whether a text begins with a phrase, whose last word ends there: "pass" does not begin "passengers"."""
    inside = said.startswith(phrase) and re.match(f"[^\\W{SINGLE}]{{2}}", said[len(phrase) - 1 :])
    return said.startswith(phrase) and not inside
