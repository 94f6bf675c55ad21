"""Questions and answers are judged as a careful person would: hand-made tables in English and Chinese."""

import pytest
from fakes import BEGIN, END, make_chunk, make_question
from hypothesis import given
from hypothesis import strategies as st

from raft_cli.data import Answer, Chunk
from raft_cli.generate.check import (
    FAULTS,
    check_answer,
    describe_fault,
    find_question_fault,
)
from raft_cli.language import alike, is_specific, same_figures, tokenise

ENGLISH = make_chunk(
    "Event logs are kept for 14 days and then overwritten. The gateway GW-4 does not accept 48 V.\n"
    "Write <ANSWER>: before the result of each test."
)
CHINESE = make_chunk("事件日志保存 14 天，之后被覆盖。网关 GW-4 不支持 48 V 供电。", language="zh")
KEPT = f"{BEGIN}logs are kept for 14 days{END}"
KEPT_ZH = f"{BEGIN}事件日志保存 14 天{END}"


def check(text: str, chunk: Chunk = ENGLISH, *others: Chunk, lexical: bool = True) -> Answer | str:
    asked = "How long does the gateway keep its event logs?" if chunk.language == "en" else "事件日志保存多久？"
    question = make_question(chunk, asked, *others)
    return check_answer(text, question=question, chunks=[chunk, *others], language=chunk.language, lexical=lexical)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long does the GW-4 gateway keep its event logs?", "en"),
        ("What does TTL mean in the context of caching?", "en"),
        ("What may be typed in the text field of the login dialog?", "en"),
        ("Which port (8443?)", "en"),
        ("GW-4 网关的事件日志保存多久？", "zh"),
        ("GW-4 支持 48 V 吗?", "zh"),
        ("文本文件、脚本文件和样本文库分别放在哪里？", "zh"),
        ("模型的上下文窗口有多长？", "zh"),
        ("TCP 报文中哪个字段表示长度？", "zh"),
        ("一个机架的基本节点有几个，能降低成本节约电费吗？", "zh"),
        ("服务器上文件的权限与当前文档的版本号如何查看？", "zh"),
        ("散热器上表面的温度上限是多少？", "zh"),
        ("这段时间内的平均温度是多少？", "zh"),
        ("バルブはいつ閉じますか？", "ja"),
        ("Wie lange werden Protokolle aufbewahrt?", "other"),
    ],
)
def test_good_questions(text: str, language: str) -> None:
    assert find_question_fault(text, language=language, others=[]) == ""


BAD_QUESTIONS = [
    ("not-a-question", "en", "The logs are kept for 14 days.", ""),
    ("not-a-question", "en", "Why?", ""),
    ("not-a-question", "zh", "日志保存多久。", ""),
    ("not-a-question", "zh", "为何？", ""),
    ("long-question", "en", "What is " + "very " * 120 + "long?", ""),
    ("holds-marks", "en", "What does <DOCUMENT> mean for the gateway?", ""),
    ("holds-marks", "zh", "网关的 <ANSWER>: 是什么意思？", ""),
    ("wrong-language", "en", "网关的日志保存多久，由谁删除？", ""),
    ("wrong-language", "zh", "How long are the logs kept?", ""),
    ("wrong-language", "ja", "How long are the logs kept?", ""),
    ("repeated-question", "en", "How long are event logs kept?", "How long are the event logs kept?"),
    ("repeated-question", "zh", "事件日志会保存多久？", "事件日志保存多久？"),
    *(
        ("not-self-contained", "en", text, "")
        for text in (
            "According to the passage, how long are logs kept?",
            "What does the document say about logs?",
            "How long are logs kept in this section?",
            "What is mentioned above about the logs?",
            "Which value does the table above give for the GW-4?",
            "Based on the provided context, what is overwritten?",
        )
    ),
    *(
        ("not-self-contained", "zh", text, "")
        for text in (
            "根据上述内容，日志保存多久？",
            "本文提到的网关型号是什么？",
            "本节介绍了几种网关？",
            "该段落说明了什么限制？",
            "文中说日志保存多久？",
            "上文提到的端口是哪个？",
            "下文所述的端口是哪个？",
            "上表中 GW-4 的数值是多少？",
            "原文怎么描述该限制？",
            "材料中提到了哪些型号？",
            "根据文档，日志保存多久？",
            "本文件规定日志保存多久？",
        )
    ),
]


@pytest.mark.parametrize(("fault", "language", "text", "other"), BAD_QUESTIONS)
def test_bad_questions(fault: str, language: str, text: str, other: str) -> None:
    assert find_question_fault(text, language=language, others=[other] if other else []) == fault


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How long are logs kept on the GW-4?", "How long are logs kept on the GW-8?"),
        ("Does the GW-4 accept 48 V?", "Does the GW-4 not accept 48 V?"),
        ("日志保存 14 天后会怎样？", "日志保存 30 天后会怎样？"),
    ],
)
def test_another_figure_or_a_negation_makes_another_question(one: str, other: str) -> None:
    assert alike(one, other) >= 90 and not same_figures(one, other)
    assert find_question_fault(one, language="other", others=[other]) == ""


@pytest.mark.parametrize(
    ("text", "final"),
    [
        (f"The manual says {KEPT}.\n<ANSWER>: 14 days", "14 days"),
        (f"The manual says that {KEPT}\n<ANSWER>: 14 days", "14 days"),
        (f"It says {KEPT}.\n<ANSWER>: fourteen? no: 14 days", "fourteen? no: 14 days"),
        (f"It says {BEGIN}does not accept 48 V{END}.\n<ANSWER>: No", "No"),
        (f"{KEPT}\n<ANSWER>: 14 days", "14 days"),
    ],
)
def test_good_answers(text: str, final: str) -> None:
    answer = check(text)
    assert isinstance(answer, Answer) and answer.final == final
    for quote in answer.quotes:
        assert quote.text == ENGLISH.text[quote.start : quote.end]


def test_good_chinese_answers() -> None:
    answer = check(f"问的是保存时间。手册写明{KEPT_ZH}，因此是 14 天。\n<ANSWER>：14 天", CHINESE)
    assert isinstance(answer, Answer) and (answer.final, answer.repaired) == ("14 天", 0)
    typed_close = check(f"手册写明{BEGIN}事件日志保存14天{END}。\n<ANSWER>: 14 天", CHINESE)
    assert isinstance(typed_close, Answer) and typed_close.quotes == answer.quotes


BAD_ANSWERS = [
    ("no-answer-tag", f"It says {KEPT}. So 14 days."),
    ("several-answer-tags", f"It says {KEPT}.\n<ANSWER>: 14 days\n<ANSWER>: 14 days"),
    ("empty-answer", f"It says {KEPT}.\n<ANSWER>:  "),
    ("long-answer", f"It says {KEPT}.\n<ANSWER>: " + "14 days " * 80),
    ("unbalanced-quote-marks", f"It says {BEGIN}logs are kept for 14 days.\n<ANSWER>: 14 days"),
    ("no-quote", "It says that logs are kept for 14 days.\n<ANSWER>: 14 days"),
    ("empty-quote", f"It says {BEGIN}14{END}.\n<ANSWER>: 14 days"),
    ("quote-not-found", f"It says {BEGIN}logs live for two weeks{END}.\n<ANSWER>: two weeks"),
    ("quote-not-found", f"It says {BEGIN}logs are kept for 15 days{END}.\n<ANSWER>: 15 days"),
    ("quote-not-found", f"It says {BEGIN}GW-4 does accept 48 V{END}.\n<ANSWER>: Yes"),
    ("not-supported", f"It says {KEPT}.\n<ANSWER>: 30 days"),
    ("not-supported", f"It says {KEPT}.\n<ANSWER>: until somebody deletes them by hand"),
    ("wrong-language", f"手册写明{KEPT}，因此保存时间如此，之后被覆盖。\n<ANSWER>: 14 days"),
]


@pytest.mark.parametrize(("fault", "text"), BAD_ANSWERS)
def test_bad_answers(fault: str, text: str) -> None:
    assert check(text) == fault


BAD_CHINESE_ANSWERS = [
    ("no-answer-tag", f"手册写明{KEPT_ZH}。"),
    ("quote-not-found", f"手册写明{BEGIN}事件日志保存 15 天{END}。\n<ANSWER>: 15 天"),
    ("quote-not-found", f"手册写明{BEGIN}网关 GW-4 支持 48 V 供电{END}。\n<ANSWER>: 支持"),
    ("empty-quote", f"手册写明{BEGIN}天{END}。\n<ANSWER>: 14 天"),
    ("not-supported", f"手册写明{KEPT_ZH}。\n<ANSWER>: 三十天"),
    ("not-supported", f"手册写明{KEPT_ZH}。\n<ANSWER>: 直到管理员手工清除"),
    ("wrong-language", f"The manual says {KEPT_ZH}.\n<ANSWER>: 14 天"),
]


@pytest.mark.parametrize(("fault", "text"), BAD_CHINESE_ANSWERS)
def test_bad_chinese_answers(fault: str, text: str) -> None:
    assert check(text, CHINESE) == fault


def test_both_documents_must_be_quoted() -> None:
    other = make_chunk("Audit logs are kept for 90 days and then moved.", 1)
    assert check(f"{KEPT}\n<ANSWER>: 14 days", ENGLISH, other) == "one-sided"
    both = check(f"{KEPT} and {BEGIN}Audit logs are kept for 90 days{END}\n<ANSWER>: 14 days; 90 days", ENGLISH, other)
    assert isinstance(both, Answer) and [quote.chunk_id for quote in both.quotes] == [ENGLISH.id, other.id]


def test_an_exact_quote_goes_before_a_near_one_in_the_other_document() -> None:
    one = make_chunk("The controller of the east hall keeps the logs of the whole plant on its own disk for ever.", 0)
    other = make_chunk("The controller of the west hall keeps the logs of the whole plant on its own disk for ever.", 1)
    text = f"{BEGIN}{one.text}{END} {BEGIN}{other.text}{END}\n<ANSWER>: for ever"
    answer = check(text, one, other)
    assert isinstance(answer, Answer) and answer.repaired == 0
    assert [quote.chunk_id for quote in answer.quotes] == [one.id, other.id]


def test_near_misses_are_mended_and_counted() -> None:
    answer = check(f"It says {BEGIN}Event log's are kept for 14 days and then overwritten{END}.\n<ANSWER>: 14 days")
    assert isinstance(answer, Answer) and answer.repaired == 1
    assert answer.quotes[0].text in ENGLISH.text and f"{BEGIN}{answer.quotes[0].text}{END}" in answer.reasoning


def test_marks_of_the_source_stay_escaped() -> None:
    answer = check(f"It says {BEGIN}Write <\u200dANSWER>: before the result{END}.\n<ANSWER>: before the result")
    assert isinstance(answer, Answer)
    assert answer.quotes[0].text == "Write <ANSWER>: before the result"
    assert "<\u200dANSWER>:" in answer.reasoning and "<ANSWER>:" not in answer.reasoning


def test_a_judge_takes_the_place_of_the_lexical_test_alone() -> None:
    assert isinstance(check(f"It says {KEPT}.\n<ANSWER>: a fortnight", lexical=False), Answer)
    assert check("It says so.\n<ANSWER>: a fortnight", lexical=False) == "no-quote"


def test_every_fault_is_explained_in_both_languages_and_shown_here() -> None:
    for fault, (english, chinese) in FAULTS.items():
        assert describe_fault(fault, "en") == english and describe_fault(fault, "zh") == chinese
        assert english.isascii() and any("\u4e00" <= char <= "\u9fff" for char in chinese)
    shown = {row[0] for row in [*BAD_QUESTIONS, *BAD_ANSWERS, *BAD_CHINESE_ANSWERS]} | {"one-sided"}
    by_others = {
        "truncated",
        "empty",
        "malformed-questions",
        "too-few-questions",
        "differs-from-given",
    }  # said by ask and answer
    assert shown | by_others == set(FAULTS)
    assert describe_fault("bad-request", "zh") == "bad-request"


@pytest.mark.parametrize(
    ("final", "specific"),
    [
        ("14 days", True),
        ("GW-4", True),
        ("网关", True),
        ("Yes.", False),
        ("是", False),
        ("不支持", False),
        ("7", False),
        ("48V", False),
    ],
)
def test_specific_answers(final: str, specific: bool) -> None:
    assert is_specific(final) is specific


@given(st.text(), st.text())
def test_likeness_is_symmetric(one: str, other: str) -> None:
    assert alike(one, other) == alike(other, one)
    assert same_figures(one, other) == same_figures(other, one)
    assert alike(one, one) == 100 or not tokenise(one)
