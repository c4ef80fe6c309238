"""Every word of the report in both languages."""

TEXT: dict[str, dict[str, str]] = {
    "title": {"en": "Scores of {names}", "zh": "评分报告：{names}"},
    "in_short": {"en": "In short", "zh": "结论"},
    "one_run": {
        "en": "{name}: {score} of 10 on average over all {n} questions of {dialogues} dialogues (95 % {span}), "
        "with an answer that could be scored in {rate} of them; {length} characters an answer.",
        "zh": "{name}：{dialogues} 段对话、共 {n} 个问题，平均 {score} 分（满分 10，95 % 区间 {span}）；"
        "其中 {rate} 的问题得到了可评分的回答；回答平均 {length} 个字符。",
    },
    "better": {
        "en": "{second} scores higher than {first}: {gap} points (95 % {span}).",
        "zh": "{second} 的得分高于 {first}：{gap} 分（95 % 区间 {span}）。",
    },
    "worse": {
        "en": "{second} scores lower than {first}: {gap} points (95 % {span}).",
        "zh": "{second} 的得分低于 {first}：{gap} 分（95 % 区间 {span}）。",
    },
    "no_difference": {
        "en": "No difference between {first} and {second} can be told: {gap} points (95 % {span}).",
        "zh": "无法判断 {first} 与 {second} 孰优：相差 {gap} 分（95 % 区间 {span}）。",
    },
    "wins": {
        "en": "Win rate of {second}, question by question: {rate} (95 % {span}, ties count half); {equal} at equal "
        "length.",
        "zh": "逐题比较，{second} 的胜率为 {rate}（95 % 区间 {span}，平局计半）；若长度相同，估计为 {equal}。",
    },
    "judged_by": {"en": "How this was judged", "zh": "评分方式"},
    "judge_is": {"en": "Judge: {judge}; it saw {seen}.", "zh": "评分模型：{judge}；{seen}。"},
    "seen_images": {"en": "the pictures and the texts", "zh": "评分时可见图像与文本"},
    "seen_text": {"en": "the texts only", "zh": "评分时仅见文本"},
    "seen_mixed": {"en": "the pictures of some dialogues only", "zh": "仅部分对话可见图像"},
    "self_judged": {
        "en": "Warning: this judge graded answers of its own model or a relative. Such judges favour their own "
        "answers; use the differences with care and the levels not at all.",
        "zh": "注意：评分模型与被评模型相同或同源，这类评分偏向自家回答；差异仅供参考，绝对分数不可采信。",
    },
    "self_unknown": {
        "en": "It is not recorded which model wrote the answers, so the judge may have graded its own.",
        "zh": "没有记录回答由哪个模型给出，评分模型可能评了自己的回答。",
    },
    "rule_mean": {
        "en": "Composite: the mean of the six dimensions. The overall score is the judge's own number.",
        "zh": "综合分为六个维度的平均；总体分为评分模型另给的分数。",
    },
    "rule_legacy": {
        "en": "Composite (rule legacy): the six dimensions weigh the same and the overall score, where given, "
        "counts as six of them.",
        "zh": "综合分（legacy 规则）：六个维度等权，总体分（如有）按六份计。",
    },
    "not_comparable": {
        "en": "These scores compare answers to one set, graded by one judge. They are not comparable to published "
        "tables, which another judge graded. Ten times a mean is the scale of those tables.",
        "zh": "这些分数只用于比较同一题集、同一评分模型下的回答，不可与论文表格相比（评分模型不同）；"
        "平均分乘以 10 即其量纲。",
    },
    "scores": {"en": "Scores", "zh": "得分"},
    "scores_note": {
        "en": "Scores from 1 to 10. Valid: over the answers that could be scored. All: over every question, failed "
        "ones as 0. Intervals (95 %) resample whole dialogues.",
        "zh": "分值 1～10。有效：仅计可评分的回答；全部：所有问题，失败记 0。95 % 区间按整段对话重抽样。",
    },
    "dimension": {"en": "Dimension", "zh": "维度"},
    "valid": {"en": "valid", "zh": "有效"},
    "all": {"en": "all", "zh": "全部"},
    "interval": {"en": "95 %", "zh": "95 % 区间"},
    "difference": {"en": "difference", "zh": "差值"},
    "run": {"en": "Run", "zh": "模型"},
    "questions": {"en": "questions", "zh": "问题数"},
    "valid_rate": {"en": "valid rate", "zh": "有效率"},
    "length": {"en": "mean length", "zh": "平均长度"},
    "per_doubling": {"en": "points per doubled length", "zh": "长度翻倍对应分差"},
    "rank": {"en": "rank correlation", "zh": "秩相关"},
    "failed": {"en": "Why there is no score", "zh": "未评分原因"},
    "pictures": {"en": "Pictures", "zh": "图示"},
    "radar": {"en": "Mean score per dimension", "zh": "各维度平均分"},
    "before_after": {"en": "Mean score per dimension with 95 % intervals", "zh": "各维度平均分与 95 % 区间"},
    "score_length": {"en": "Score against answer length", "zh": "得分与回答长度"},
    "score_axis": {"en": "score", "zh": "得分"},
    "length_axis": {"en": "characters of the answer", "zh": "回答字符数"},
    "preference": {"en": "Which run is better, question by question", "zh": "逐题比较"},
    "preference_note": {
        "en": "A win counts 1, a tie 0.5. Long answers tend to be preferred, so one column estimates the rate "
        "for equally long answers (length term of AlpacaEval 2, arXiv:2404.04475).",
        "zh": "胜记 1，平记 0.5。评分偏爱长回答，因此“等长时”一列估计两者等长时的胜率"
        "（AlpacaEval 2 的长度项，arXiv:2404.04475）。",
    },
    "compared_by": {"en": "Compared by", "zh": "比较方式"},
    "by_score": {"en": "the composite score", "zh": "综合分"},
    "by_judge": {"en": "the judge, both orders", "zh": "评分模型成对比较（两种顺序）"},
    "counts": {"en": "wins / ties / losses", "zh": "胜 / 平 / 负"},
    "win_rate": {"en": "win rate", "zh": "胜率"},
    "equal_length": {"en": "at equal length", "zh": "等长时"},
    "longer": {"en": "characters more", "zh": "多出字符"},
    "position": {
        "en": "Position bias of the judge: {bias} (95 % {span}; 0 is fair, 0.5 always the first shown). Both orders "
        "agree on {agreement}; a disagreement counts as a tie.",
        "zh": "评分模型的位置偏差：{bias}（95 % 区间 {span}；0 为公平，0.5 为总选先出现者）。"
        "两种顺序一致率 {agreement}，不一致记平。",
    },
    "floors": {"en": "Floors", "zh": "基线"},
    "floors_note": {
        "en": "What can be had without looking: the same answer to every question, no picture, other pictures. "
        "A score that is not clearly above them shows no understanding of the pictures.",
        "zh": "不看图也能得到的分数：固定答案、无图、换图。若得分未明显高于基线，便不能说明模型理解了图像。",
    },
    "floor": {"en": "Floor", "zh": "基线"},
    "majority": {"en": "most frequent answer", "zh": "最常见答案"},
    "blind": {"en": "no picture", "zh": "无图"},
    "shuffled": {"en": "other pictures", "zh": "换图"},
    "overlap": {"en": "words shared with the reference (F1)", "zh": "与参考答案的词重合（F1）"},
    "dialogues": {"en": "Weakest and strongest dialogues", "zh": "最弱与最强的对话"},
    "dialogue": {"en": "Dialogue", "zh": "对话"},
    "examples": {"en": "Lowest and highest scored answers", "zh": "得分最低与最高的回答"},
    "question": {"en": "Question", "zh": "问题"},
    "reference": {"en": "Reference", "zh": "参考答案"},
    "answer": {"en": "Answer", "zh": "回答"},
    "judge_says": {"en": "Judge", "zh": "评语"},
    "empty": {"en": "(empty)", "zh": "（空）"},
    "score_of": {"en": "dialogue {id}, turn {turn}: {score}", "zh": "对话 {id} 第 {turn} 轮：{score} 分"},
}
COLUMN_NAMES: dict[str, dict[str, str]] = {
    "creativity": {"en": "Creativity", "zh": "创造性"},
    "richness": {"en": "Richness", "zh": "丰富性"},
    "visual_perception": {"en": "Visual Perception", "zh": "视觉感知"},
    "logical_coherence": {"en": "Logical Coherence", "zh": "逻辑连贯"},
    "answer_accuracy": {"en": "Answer Accuracy", "zh": "答案准确"},
    "image_relationship_understanding": {"en": "Image Relationship Understanding", "zh": "图像关系理解"},
    "overall": {"en": "Overall (judge)", "zh": "总体（评分模型）"},
    "composite": {"en": "Composite", "zh": "综合"},
}
LANGUAGES = ("zh", "en")


def text(key: str, lang: str, **slots: object) -> str:
    """One text with its slots filled."""
    return TEXT[key][lang].format(**slots)
