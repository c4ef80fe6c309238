"""Wording of the Word report, Chinese and English.

Findings are clues: the words for a verdict do not occur here.
"""

Text = dict[str, dict[str, str]]

TEXT: Text = {
    "missing": {"zh": "待核实", "en": "to be verified"},
    "title": {"zh": "{}土地利用变化遥感监测报告", "en": "{}: report on land-use change seen by satellite"},
    "this_county": {"zh": "本县", "en": "This county"},
    "period": {
        "zh": "监测时段：{}至{}（影像实际获取日期）",
        "en": "Period: {} to {} (dates on which the images were taken)",
    },
    "clear": {"zh": "两期影像共同清晰覆盖：{}", "en": "Seen clearly on both dates: {}"},
    "evidence": {"zh": "证据编号：{}", "en": "Evidence: {}"},
    "clues_only": {
        "zh": "本报告所列均为遥感疑似线索，不能作为处罚依据，须实地核查。",
        "en": "All findings are suspected clues from satellite images, no basis for a penalty; check them on site.",
    },
    "summary": {
        "zh": "摘要：{}至{}期间，耕地流入{}，流出{}，净变化{}；新增建设用地{}；疑似图斑{}个。",
        "en": "Summary: from {} to {} cropland gained {}, lost {}, net {}; built-up land gained {}; "
        "{} suspected patches.",
    },
    "h1": {"zh": "一、耕地数量变化", "en": "1. Cropland"},
    "h2": {"zh": "二、建设用地", "en": "2. Built-up land"},
    "h3": {"zh": "三、永农、红线、保护地、河道重叠清单", "en": "3. Overlaps with protected zones"},
    "h4": {"zh": "四、疑似图斑", "en": "4. Suspected patches"},
    "h5": {"zh": "五、数据与方法", "en": "5. Data and methods"},
    "h6": {"zh": "六、局限与声明", "en": "6. Limits and statement"},
    # Areas
    "item": {"zh": "项目", "en": "item"},
    "class": {"zh": "地类", "en": "class"},
    "mu": {"zh": "亩", "en": "mu"},
    "ha": {"zh": "公顷", "en": "ha"},
    "km2": {"zh": "平方公里", "en": "km2"},
    "certainty": {"zh": "口径与范围（亩）", "en": "kind of figure and range (mu)"},
    "bounds": {
        "zh": "像元统计，未经样本校正；范围{}至{}（非置信区间）",
        "en": "pixel count, not corrected by samples; range {} to {} (no confidence interval)",
    },
    "no_bounds": {
        "zh": "像元统计，未经样本校正；范围待核实",
        "en": "pixel count, not corrected by samples; range to be verified",
    },
    "ci95": {
        "zh": "样本校正估计；95%置信区间{}至{}，n={}",
        "en": "estimate corrected by samples; 95 % interval {} to {}, n={}",
    },
    "short_bounds": {
        "zh": "{}亩（像元统计未经样本校正，范围{}至{}）",
        "en": "{} mu (uncorrected pixel count, {} to {})",
    },
    "short_no_bounds": {"zh": "{}亩（像元统计未经样本校正）", "en": "{} mu (uncorrected pixel count)"},
    "short_ci95": {"zh": "{}亩（95%置信区间{}至{}，n={}）", "en": "{} mu (95 % interval {} to {}, n={})"},
    "before": {"zh": "前时相面积（{}）", "en": "area at the first date ({})"},
    "after": {"zh": "后时相面积（{}）", "en": "area at the second date ({})"},
    "gain": {"zh": "流入（新增）", "en": "gain"},
    "loss": {"zh": "流出（减少）", "en": "loss"},
    "net": {"zh": "净变化（流入减流出）", "en": "net change (gain less loss)"},
    "cropland_note": {
        "zh": "口径：流入为前时相非耕地、后时相耕地；流出相反。流入不等于占补平衡或验收意义上的新增耕地。",
        "en": "Gain: cropland at the second date only; loss: at the first only. Gain is not the certified new cropland "
        "of the land balance.",
    },
    "t_cropland": {"zh": "耕地面积与变化", "en": "Cropland and its change"},
    "t_lost_to": {
        "zh": "耕地流出去向（像元统计，未经样本校正）",
        "en": "Where lost cropland went (pixel count, not corrected by samples)",
    },
    "t_gained_from": {
        "zh": "耕地流入来源（像元统计，未经样本校正）",
        "en": "Where gained cropland came from (pixel count, not corrected by samples)",
    },
    "t_built": {"zh": "建设用地面积与变化", "en": "Built-up land and its change"},
    "t_built_from": {
        "zh": "新增建设用地来源（像元统计，未经样本校正）",
        "en": "Where new built-up land came from (pixel count, not corrected by samples)",
    },
    "built_share": {
        "zh": "新增建设用地中原为耕地的占{}（像元统计，未经样本校正）。",
        "en": "Of the new built-up land {} was cropland (pixel count, not corrected by samples).",
    },
    "share": {"zh": "占比", "en": "share"},
    "total": {"zh": "合计", "en": "total"},
    "town": {"zh": "乡镇", "en": "town"},
    "t_towns": {
        "zh": "分乡镇耕地变化",
        "en": "Cropland change by town",
    },
    "t_towns_built": {
        "zh": "分乡镇新增建设用地前{}位",
        "en": "New built-up land by town, the first {}",
    },
    "no_towns": {"zh": "分乡镇数据：待核实（缺少乡镇边界图层）。", "en": "By town: to be verified (no town layer)."},
    # Zones
    "zone": {"zh": "区域", "en": "zone"},
    "zone_type": {"zh": "类型", "en": "kind"},
    "zone_area": {"zh": "区域面积（亩）", "en": "zone (mu)"},
    "hits": {"zh": "相交图斑数", "en": "patches"},
    "overlap": {"zh": "重叠面积（亩）", "en": "overlap (mu)"},
    "source": {"zh": "图层来源", "en": "source of the layer"},
    "t_zones": {"zh": "疑似图斑与管控区域的重叠", "en": "Suspected patches inside zones"},
    "no_layer": {"zh": "待核实（缺少边界图层，无法叠加）", "en": "to be verified (no layer, so no overlay)"},
    "zone_note": {
        "zh": "边界一个像元内的面积不确定；重叠面积不等于实际占用面积，须以勘测为准。",
        "en": "Area within one pixel of a boundary is uncertain; an overlap is not a surveyed occupation.",
    },
    # Patches
    "patches_none": {
        "zh": "未检出达到最小制图单元（{}）的疑似图斑；更小的变化无法由本数据判断。",
        "en": "No suspected patch of the minimum mapping unit ({}) or more was found; these data cannot show less.",
    },
    "patches_unknown": {
        "zh": "变化图斑：待核实（本次没有变化检测结果）。",
        "en": "Change patches: to be verified (this run has no change result).",
    },
    "patches_count": {
        "zh": "共{}个疑似图斑，合计{}亩（像元统计，未经样本校正）。本报告列出面积最大的{}个，其中{}个附前后影像；"
        "其余{}个仅列表或见附件台账，未附影像。",
        "en": "{} suspected patches, {} mu in all (pixel count, not corrected by samples). The {} largest are listed, "
        "{} of them with images; the other {} stand in the list or the attached table only, without images.",
    },
    "below_mmu": {
        "zh": "另有{}处小于最小制图单元（{}）的变化，合计{}亩，未列出。",
        "en": "Another {} changes below the minimum mapping unit ({}), {} mu in all, are not listed.",
    },
    "t_grades": {"zh": "疑似图斑分级", "en": "Suspected patches by grade"},
    "grade": {"zh": "级别", "en": "grade"},
    "meaning": {"zh": "含义", "en": "meaning"},
    "count": {"zh": "个数", "en": "count"},
    "grade_A": {
        "zh": "其后两期以上清晰影像仍存在，地类概率不低于0.8",
        "en": "still there on two or more later clear dates, class probability 0.8 or more",
    },
    "grade_B": {
        "zh": "其后一期清晰影像仍存在，或地类概率不低于0.6",
        "en": "still there on one later clear date, or class probability 0.6 or more",
    },
    "grade_C": {"zh": "仅一对影像，无后续印证", "en": "one pair of images, nothing later confirms it"},
    "t_patches": {
        "zh": "疑似图斑清单（面积为像元统计，未经样本校正）",
        "en": "List of suspected patches (areas: pixel count, not corrected by samples)",
    },
    "change_of": {"zh": "前地类→后地类", "en": "before → after"},
    "chips": {
        "zh": "图斑{}：前时相、后时相、变化（同一拉伸，黄线为图斑边界）",
        "en": "Patch {}: before, after, change (one stretch; yellow: outline of the patch)",
    },
    "no_chips": {"zh": "前后影像截图：待核实", "en": "Images before and after: to be verified"},
    "by_hand": {"zh": "（核查后填写）", "en": "(filled in after the check)"},
    "unchecked": {"zh": "待核查", "en": "unchecked"},
    # Data and methods
    "t_scenes": {"zh": "所用影像", "en": "Images"},
    "scene": {"zh": "影像编号", "en": "scene"},
    "sensor": {"zh": "传感器与级别", "en": "sensor and level"},
    "date": {"zh": "日期", "en": "date"},
    "cloud": {"zh": "产品云量", "en": "cloud by product"},
    "clear_share": {"zh": "清晰比例", "en": "clear share"},
    "mask": {"zh": "云掩膜来源", "en": "mask from"},
    "coreg": {
        "zh": "配准：两期偏移 x {} 像元、y {} 像元，配准后残差 {} 像元。",
        "en": "Alignment: the dates were {} px apart in x and {} px in y; {} px are left after alignment.",
    },
    "t_method": {"zh": "处理方法", "en": "Processing"},
    "value": {"zh": "内容", "en": "value"},
    "method_mask": {"zh": "云掩膜", "en": "cloud mask"},
    "method_change": {"zh": "变化检测", "en": "change detection"},
    "method_classifier": {"zh": "地类判定", "en": "land cover"},
    "method_threshold": {"zh": "变化阈值", "en": "threshold of change"},
    "method_mmu_px": {"zh": "最小制图单元（像元）", "en": "minimum mapping unit (pixels)"},
    "method_mmu_m2": {"zh": "最小制图单元（平方米）", "en": "minimum mapping unit (m2)"},
    "method_norm": {"zh": "辐射归一化", "en": "radiometric normalisation"},
    "t_classes": {"zh": "各地类面积与变化（亩）", "en": "Area and change of all classes (mu)"},
    "t_range": {"zh": "各地类面积的口径与范围（{}）", "en": "Kind and range of the class areas ({})"},
    "t_matrix": {
        "zh": "转移矩阵（公顷；行为前时相，列为后时相；像元统计，未经样本校正）",
        "en": "Transition matrix (ha; rows first date, columns second date; uncorrected pixel count)",
    },
    "no_data": {"zh": "无数据", "en": "no data"},
    "t_accuracy": {
        "zh": "分类精度矩阵{}（{}；行为分类结果，列为参考；n={}）",
        "en": "Accuracy matrix {} ({}; rows: map, columns: reference; n={})",
    },
    "accuracy_line": {
        "zh": "总体精度{}{}，kappa {}。",
        "en": "Overall accuracy {}{}, kappa {}.",
    },
    "ci_words": {"zh": "（95%置信区间{}至{}）", "en": " (95 % interval {} to {})"},
    "users": {"zh": "用户精度", "en": "user's"},
    "producers": {"zh": "制图精度", "en": "producer's"},
    "f1": {"zh": "F1", "en": "F1"},
    "no_accuracy": {
        "zh": "分类精度：待核实（没有独立参考样本）。",
        "en": "Accuracy: to be verified (no independent reference samples).",
    },
    "estimates": {
        "zh": "面积估计：有独立随机样本时按 Olofsson 等（2014）分层估计并给出95%置信区间；"
        "没有样本时为像元统计，所附范围不是置信区间。",
        "en": "Areas: with an independent random sample, stratified estimates with 95 % intervals after Olofsson "
        "et al. (2014); without one, pixel counts whose range is no confidence interval.",
    },
    # Limits
    "caveats": {"zh": "本次监测的具体局限：", "en": "Limits of this run:"},
    "limit_dates": {
        "zh": "两期影像只能显示前后两日之间地表覆盖的差异，不能确定变化的日期、原因、权属、作物和合法性。",
        "en": "Two dates show a difference in cover; not its day, cause, owner, crop or legality.",
    },
    "limit_size": {
        "zh": "可检出的最小变化为{}，单栋农房等更小的变化看不到；“未检出”不等于“没有”。",
        "en": "The smallest change that can be found is {}; a single rural house is smaller. "
        "Not found does not mean not there.",
    },
    "limit_legal": {
        "zh": "土地覆盖不等于土地用途：设施农用地、农村道路、临时用地等须对照审批备案材料认定。",
        "en": "Cover is not legal use: greenhouses, rural roads and temporary sites are told apart by their permits.",
    },
    "notice": {
        "zh": "按照自然资发〔2023〕258号文件，卫星遥感监测只是提供问题线索，不能直接作为作出行政处罚的依据，"
        "必须实地核查。本报告不作合法性判断。",
        "en": "Notice Ziranzifa [2023] 258: satellite monitoring only provides clues, cannot directly be the basis of "
        "an administrative penalty, and must be checked in the field. This report does not assess legality.",
    },
    "next": {
        "zh": "建议：现场核实用途→查农转用、设施农用地备案、临时用地手续→四向举证拍照→填写核查结果。",
        "en": "Next: check the use on site, look up the permits, take photographs in four directions, "
        "fill in the result.",
    },
    "repeat": {
        "zh": "可复现：证据编号{}，校验值{}，图例版本{}。命令：{}",
        "en": "To repeat: evidence {}, hash {}, legend version {}. Command: {}",
    },
    # Figures
    "figure": {"zh": "图{} {}", "en": "Figure {}. {}"},
    "table": {"zh": "表{} {}", "en": "Table {}. {}"},
    "overview_before": {"zh": "前时相影像", "en": "Image of the first date"},
    "overview_after": {"zh": "后时相影像", "en": "Image of the second date"},
    "cover_before": {"zh": "前时相土地覆盖", "en": "Land cover at the first date"},
    "cover_after": {"zh": "后时相土地覆盖", "en": "Land cover at the second date"},
    "change": {"zh": "检出的变化", "en": "Change found"},
    "patches": {"zh": "疑似图斑分布", "en": "Suspected patches"},
}

# Columns of the patch record that the report prints, in this order.
PATCH_FIELDS: Text = {
    "TBBH": {"zh": "图斑编号", "en": "patch"},
    "XZQMC": {"zh": "行政区", "en": "district"},
    "XZMC": {"zh": "乡镇", "en": "town"},
    "JD": {"zh": "经度", "en": "longitude"},
    "WD": {"zh": "纬度", "en": "latitude"},
    "MJ_M2": {"zh": "面积", "en": "area"},
    "MJ_MIN": {"zh": "面积范围（±半像元）", "en": "range (half a pixel)"},
    "QSX": {"zh": "前时相", "en": "first date"},
    "HSX": {"zh": "后时相", "en": "second date"},
    "QDL": {"zh": "前地类", "en": "class before"},
    "HDL": {"zh": "后地类", "en": "class after"},
    "BHLX": {"zh": "变化类型", "en": "kind of change"},
    "GRADE": {"zh": "置信度", "en": "grade"},
    "ZYYN_M2": {"zh": "与永农重叠", "en": "in basic farmland"},
    "ZYHX_M2": {"zh": "与红线重叠", "en": "in the red line"},
    "ZRBHD": {"zh": "自然保护地", "en": "nature reserve"},
    "GNQ": {"zh": "功能区", "en": "reserve zone"},
    "HDGL": {"zh": "河道管理范围", "en": "river scope"},
    "CLR_PCT": {"zh": "清晰度", "en": "clear share"},
    "REASON": {"zh": "触发证据", "en": "what triggered it"},
    "JCJY": {"zh": "核查建议", "en": "advice"},
    "HCZT": {"zh": "核查状态", "en": "status"},
    "HCJG": {"zh": "核查结果", "en": "result"},
    "HCR": {"zh": "核查人", "en": "checked by"},
    "HCRQ": {"zh": "核查日期", "en": "checked on"},
    "EVID": {"zh": "证据编号", "en": "evidence id"},
}
