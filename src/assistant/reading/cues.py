"""Cue words: what a question wants done with the land it names, in Chinese and English.

A cue is a hint, not a decision: ``rules`` combines cues with the parts that
were found. Text that tries to give orders to the system is cut out first.
"""

import re
from collections.abc import Mapping

_ORDERS = re.compile(
    r"(?:请|现在|麻烦)?(?:忽略|无视|忘记|忘掉|不要理会|跳过)[^,。?!;]{0,12}?(?:指令|规则|提示词?|要求"
    r"|设定|限制|约束|对话)[^,。?!;]{0,6}[,。?!;:]?"
    r"|(?:你现在是|从现在起你是|假装你是|扮演)[^,。?!;]{0,20}[,。?!;]?"
    r"|(?:please\s+)?\b(?:ignore|disregard|forget|override|bypass)\b[^.?!;,]{0,40}?\b(?:instructions?"
    r"|rules?|prompts?|guidelines?|restrictions?|above)\b"
    r"\s*(?:and|,|\.|;|!)?|\byou\s+are\s+now\b[^.?!;,]{0,40}[.?!;,]?|\bpretend\s+(?:to\s+be"
    r"|you)\b[^.?!;,]{0,40}[.?!;,]?|<\|[^|]{0,40}\|>"
    r"|\b(?:reveal|print|show)\b[^.?!;,]{0,20}\bsystem\s+prompt\b|(?:系统|system)\s*(?:提示词?"
    r"|prompt)|\bdeveloper\s+mode\b"
)

_CUES: Mapping[str, tuple[str, str]] = {
    # about the answer, not the land
    "legal": (
        r"(?:是否|是不是|算不算|算|属于|属不属于|构不构成|构成)(?:违法|犯罪|合法|违规用地|违建"
        r"|违章建筑)(?!建|用地.*(?:有|多少))|违不违[法规]|合不合法|"
        r"违法(?:吗|没有|不|么)|合法(?:吗|不|么)|判定.{0,6}(?:违法|合法)|认定.{0,8}违法|罚(?!没)|处罚"
        r"|处理(?:意见|决定)|"
        r"拆(?:除|掉|不拆|了)|(?:违法|违规|法律)(?:的)?(?:结论|定性)|定(?:个)?性|追究|追责|立案|坐牢|判刑|刑事|责任人|犯法|犯了?什么|违反(?:了)?(?:哪|什么)",
        r"\b(?:is|was|are|were|if|whether)\b.{0,30}\b(?:il)?legal\b(?!ly\s+built)(?!\s+(?:construction"
        r"|building|occup|encroach|mining|dumping|structures?|development))"
        r"|\bfin(?:e|es|ed)\b(?!\s*,)|\bpenal\w+|\bpunish\w*|\bprosecut\w*|\bsanction\w*|\bdemolish\w*"
        r"|\bunlawful\?|\bbreak(?:ing|s)?\s+the\s+law|\bguilty|\blawsuit"
        r"|\blegality\b|\bviolat\w+\s+(?:the\s+)?law",
    ),
    "off_topic": (
        r"天气|气温|下雨|股票|股市|基金|写(?:一?首|诗|歌|小说|作文|代码|程序|情书)|笑话|唱歌|电影|彩票"
        r"|足球|篮球|菜谱|做饭|做菜|红烧|翻译|python|"
        r"人口|gdp|房价|总统|明星|星座|旅游攻略|几点了|吃什么|减肥|感冒|疫情|国足|世界杯|游戏",
        r"\bweather\b|\bstocks?\s+(?:price|market)|\bpoem\b|\bjoke\b|\brecipe\b|\bmovie\b|\bfootball\b"
        r"|\bsoccer\b|\bpresident\b|\bcapital\s+of\b|"
        r"\bpopulation\b|\bgdp\b|\bhouse\s+prices?\b|\btranslate\b|\bpython\b|\bwrite\s+(?:me\s+)?(?:a"
        r"|some)\s+(?:poem|story|code|song|essay)|\bsong\b"
        r"|\bbitcoin\b|\bwho\s+won\b|\bhoroscope\b",
    ),
    "image": (
        r"(?:这|那|该|上传的?|给的?)(?:1?[张幅景期]|一[张幅景期])?(?:遥感|卫星)?(?:图片?|影像|照片|相片"
        r"|截图)|图[里中上](?!斑)|照片|看图|图片|影像[里中上]",
        r"\b(?:this|the|attached|uploaded|my)\s+(?:satellite\s+)?(?:image|picture|photo|scene)\b"
        r"|\bin\s+the\s+(?:image|picture|photo)\b",
    ),
    "describe": (
        r"描述|说说|讲讲|介绍1?下?|介绍一下|看到了?(?:什么|啥)|有(?:些)?(?:什么|啥|哪些)(?:东西|内容"
        r"|地物)?[?。]?$|是(?:什么|啥)(?:地方|东西)?[?。]?$|解读|识别|看图|主要.{0,6}(?:类型|地类)",
        r"\bdescribe\b|\bcaption\b|\bwhat\s+(?:is|can\s+you\s+see|do\s+you\s+see|does\s+it\s+show"
        r"|can\s+be\s+seen|'s)\b.{0,20}\b(?:image|picture|photo|scene|here)\b|"
        r"\bwhat\s+does\b.{0,30}\bshow\b|\btell\s+me\s+about\s+(?:this|the)\s+(?:image|picture|photo)|\binterpret\b",
    ),
    "one_image": (
        r"(?:只有|仅有?|就|单)(?:有|了)?(?:1|一|单)(?:张|幅|景|期|个时相|个日期)|单(?:张|幅|景|期|时相)"
        r"|没有(?:以前|之前|前1?期|前时相|对比)的?(?:影像|图)|(?:这|那)(?:1|一)?[张幅景]",
        r"\b(?:only|just|single|one)\s+(?:have\s+)?(?:one|a\s+single|1|single|this)?\s*(?:image|scene"
        r"|picture|photo|date)\b|\bthis\s+(?:one\s+|single\s+)?(?:image|picture|photo|scene)\b"
        r"|\bno\s+(?:earlier|previous|before)\s+image",
    ),
    "accuracy": (
        r"准不准|准吗|准确|精度|误差|可靠|可信(?!度\D{0,3}[\d.])|靠谱|靠得住|信得过|能信|置信区间"
        r"|混淆矩阵|kappa|多大把握|有谱|错误率|误判率|正确率|偏差有?多[大少]",
        r"\baccura\w+|\breliab\w+|\btrust\w*|\berror\s+(?:rate|bars?|margin)|\bmargin\s+of\s+error"
        r"|\bhow\s+(?:sure|certain|good|precise)\b|\bconfidence\s+interval|"
        r"\bconfusion\s+matrix|\bkappa\b|\bprecis(?:e|ion)\b|\buncertaint\w+",
    ),
    "provenance": (
        r"(?:哪[天期些张几景]|什么时候的?|几[月号期]的?|啥|什么|哪个|多少[景期张])[^,。?!]{0,6}(?:影像"
        r"|卫星|图像|数据|遥感|图拍|片子)|影像(?:日期|时间|时相|来源|清单|信息|情况)|"
        r"数据来源|云量|云多|多少云|云(?:遮|盖|大)|有云|几号拍|何时拍|哪天拍|什么时候拍|拍摄(?:时间|日期)"
        r"|数据(?:是)?(?:哪|什么时候|从哪)|用的?是?(?:哪|什么|啥)(?:些|颗|个)?(?:影像|卫星|数据|图)",
        r"\bwhich\s+(?:\w+\s+)?(?:images?|scenes?|imagery|satellites?|dates?\s+(?:of|were|are)|sensors?"
        r"|data)\b|\bwhat\s+(?:images?|imagery|satellites?|scenes?|data|sensors?)\b|"
        r"\bcloud(?:s|y|iness|\s+cover)?\b|\bwhen\s+(?:was|were)\s+.{0,20}\b(?:taken|acquired|captured"
        r"|shot)\b|\bimage\s+dates?\b|\bdata\s+sources?\b|\bprovenance\b|\backquisition\b"
        r"|\bacquisition\s+dates?\b",
    ),
    "survey": (
        r"三调|二调|国土调查|变更调查|统计局|统计(?:年鉴|数据|数|公报)|年鉴|官方|上报|台账(?:上|里|数)"
        r"|公报|农业局|部里|省里|上级|其他部门|以前报的|手里的数|别的数据",
        r"\b(?:national|land|official|government)\s+(?:land\s+)?(?:survey|statistics?|figures?|numbers?"
        r"|data|census)\b|\bstatistics?\b|\byearbook\b|\bthird\s+(?:national\s+)?(?:land\s+)?survey\b"
        r"|\bcensus\b|\bofficial\b",
    ),
    "differs": (
        r"不一样|不一致|不同|不符|对不上|出入|差(?:这么|那么|很|太|异|别|了|得|距)|矛盾|不相同|有差|相差|合不上",
        r"\bdiffer\w*|\bdiscrepan\w*|\bmismatch\w*|\bdisagree\w*|\bnot\s+(?:the\s+same|match|agree)"
        r"|\bdoes\s?n[o']t\s+(?:match|agree)|\binconsistent",
    ),
    "export": (
        r"导出|导成|导(?:1|一)?[个份张]|下载|另存|存成|保存(?:成|为)|发我|发给我|打印|输出(?:成|为)?"
        r"|(?:生成|做|出|写|编|弄|整|来|要)(?:1|一)?[份个张]?(?:[^,。?!变减增转]{0,14})(?:快报|报告|简报"
        r"|月报|季报|年报|周报|台账|清单|表格|excel|word|通报)"
        r"|(?:生成|制作)[^,。?!]{0,10}(?:快报|报告|简报|台账|清单)",
        r"\bexport\w*|\bsend\s+me\b|\bdownload\w*|\bsave\s+(?:\w+\s+){0,3}(?:as|to)\b|\b(?:generate|produce|make|write"
        r"|prepare|create|give\s+me|draft)\b.{0,25}\b(?:report|bulletin|shapefile|excel|spreadsheet|word"
        r"|gpkg|geojson|csv|ledger)\b"
        r"|\bas\s+(?:an?\s+)?(?:shapefile|excel|xlsx|word|docx|csv|geojson|gpkg|geopackage|pdf|kml)\b",
    ),
    "review": (
        r"标记|标[为成注]|标个|去掉|剔除|删(?:掉|除|了)|排除掉?|(?:核实|认定|设|改|置|判)(?:定)?[为成]"
        r"|撤销|移交(?:给|出)?|不是真的?变化",
        r"\b(?:mark|flag|label|dismiss|reject|set|classify|tag)\b|\bremove\b|\bdelete\b|\bdrop\b"
        r"|\bdiscard\b|\bhand\s+(?:\w+\s+){0,2}on\b",
    ),
    "convert": (
        r"换算|换成|转成|折合|折算|合(?:多少|几)|等于|是多少|相当于|改成|改用|用.{0,4}(?:表示|显示|算"
        r"|做单位|为单位)|单位|是几|=",
        r"\bconvert\b|\bin\s*to\b|\bin\b|\bequals?\b|\bhow\s+many\b|\bexpressed\b|=|\bto\b|\buse\b|\bshow\b|\bswitch\b",
    ),
    # what cannot be measured
    "non_grain": (
        r"非粮|粮食(?:面积|种植|作物|产量)|作物|产量|(?:水稻|小麦|玉米|大豆|油菜|棉花|烟叶|花生|红薯"
        r"|土豆)(?!田)|种的?(?:是)?(?:什么|啥)",
        r"\bnon[\s-]?grain|\bgrain\s+(?:crops?|area|planting)|\bwhich\s+crops?|\bwhat\s+crops?|\b(?:rice"
        r"|wheat|corn|maize|soy(?:bean)?s?|cotton|rapeseed)\b(?!\s+fields?)|\byields?\b|\bcrop\s+types?\b"
        r"|\bnot\s+grown\s+for\s+grain",
    ),
    "causal": (
        r"是不是.{0,16}(?:造成|导致|引起|引发|害)|(?:造成|导致|引起|引发|所致|(?<!厉)害的)|为什么|为何|为啥"
        r"|怎么会|怎么就|原因|因为|由于|归因|跟.{0,8}有关|主要是.{0,8}引起|怪",
        r"\bwhy\b|\bcaus(?:e|ed|es|ing)\b|\bbecause\b|\bdue\s+to\b|\breasons?\b|\bdriv(?:en|er|ing)\b"
        r"|\bresponsible\s+for\b|\bled\s+to\b|\bblame\b|\bresult\s+of\b|\battribut\w+",
    ),
    "no_data": (
        r"增减挂钩|批而未供|供而未用|闲置(?:土地|用地|建设)|质量(?:等别|等级|评价)|(?:耕地|土壤|土地)(?:的)?(?:质量|肥力|等别|等级)"
        r"|人均|户均|权属|所有权|使用权|承包权|高标准(?:基本)?农田|进出平衡|设施农用地",
        r"\bper\s+(?:capita|head|person|household)\b|\bowner\w*|\bowns?\b|\btenure\b|\bland\s+rights?\b"
        r"|\b(?:soil|land|cropland|farmland)\s+(?:quality|grades?|fertility)\b|\bquality\b(?!\s+of\s+(?:the\s+)?(?:data|results?|images?))"
        r"|\bhigh[\s-]standard\s+(?:basic\s+)?(?:farm|crop)\s?land|\bapproved\s+but\b|\bidle\s+(?:construction|building|urban)\b",
    ),
    "forecast": (
        r"预测|预计|预估|将会|会不会(?:再|继续)|今后|未来|以后会|还会|将来",
        r"\bforecast\w*|\bpredict\w*|\bproject(?:ed|ion)\b|\bwill\b.{0,25}\b(?:be|become|lose|grow"
        r"|increase|decrease|shrink|expand|continue|disappear)\b|\bin\s+the\s+future\b",
    ),
    # special things
    "solar": (r"光伏|太阳能", r"\bsolar\b|\bphotovoltaic\w*|\bpv\b"),
    "greenhouse": (
        r"(?:塑料|蔬菜|温室|农业|种植)?大棚(?!房)|温室|设施农业",
        r"\bgreen\s?houses?\b|\bpolytunnels?\b|\bplastic\s+(?:sheds?|tunnels?|covers?)",
    ),
    "abandoned": (
        r"撂荒|抛荒|弃耕|丢荒|荒废|荒了|闲置(?:的)?耕地|没人种|没有人种|不种了|无人耕种|没种(?:东西|庄稼)|荒着|闲着",
        r"\babandon\w*|\bfallow\w*|\bidle\b|\b(?:left|lying|stand\w*)\s+(?:idle|fallow|unused"
        r"|uncultivated)|\bnot\s+(?:being\s+)?(?:farmed|cultivated|planted)|\bunfarmed\b"
        r"|\bno\s+longer\s+(?:farmed|cultivated)|\bout\s+of\s+cultivation",
    ),
    "vegetation": (
        r"植被|ndvi|绿化|绿度|长势|绿了|变绿|生态(?:质量|状况|环境)|覆盖度",
        r"\bvegetation\b|\bndvi\b|\bgreen(?:er|ness|ing|ed)\b|\bplant\s+cover\b|\bbiomass\b|\bvigou?r\b",
    ),
    "season": (
        r"季节(?:性|变化|原因|影响|引起|造成)?|物候|收割|收(?:完)?庄稼|真(?:的)?变(?:化|了)|真(?:的"
        r"|实)(?:是)?(?:变化|建|盖)|假变化|季相|是不是.{0,6}(?:收|季|水位涨)|落叶|误报|伪变化"
        r"|会不会是(?:误|假|云)",
        r"\bseason(?:al|ality|s)?\b|\bphenolog\w*|\bharvest\w*|\breal\s+change|\bgenuine"
        r"|\bfalse\s+(?:alarm|positive|change)|\breally\s+(?:changed|a\s+change)"
        r"|\bjust\s+(?:the\s+)?crops?|\bphenology|\bartefact|\bartifact",
    ),
    "when": (
        r"什么时候|何时|啥时候?|哪天|哪1?个?月|几月|几号|多久以前|多久前|何年何月|什么时间|起始时间",
        r"\bwhen\b|\bsince\s+when\b|\bwhat\s+date\b|\bwhich\s+(?:day|month)\b|\bhow\s+long\s+ago\b",
    ),
    "begin": (
        r"动土|开工|开始|动工|出现|开挖|开建|建的|盖的|变的|建起|盖起|挖的|发现|破土|有的|动的|施工|平整"
        r"|没的|不见|发生|变成",
        r"\bstart\w*|\bbeg[aiu]n\w*|\bappear\w*|\bbuilt\b|\bbreak(?:ing)?\s+ground|\bbroken?\b|\bchang\w+"
        r"|\bhappen\w*|\bfirst\b|\bdug\b|\boccur\w*|\bgo\s+up|\bconstruct\w*|\bdisappear\w*|\bcleared",
    ),
    "this_patch": (
        r"(?:这|那|该|此|某)(?:1|一)?(?:个|块|处|宗|片)?(?:图斑|地块|地方|斑块|变化|地(?!类|区|级)|点位?"
        r"|工地|位置)|这(?:1|一)?(?:个|块|处|片)(?!乡|镇|县|村|数|月|季|星|图|影|年|问)|(?<!其)它",
        r"\b(?:this|that)\s+(?:\w+\s+)?(?:patch|plot|site|parcel|change|place|piece|spot|clue|one|find)\b",
    ),
    "detail": (
        r"情况|详情|详细|怎么回事|咋回事|什么情况|啥情况|看看|看1?下|具体|信息|介绍|说明|多大|在哪|怎么样"
        r"|说说|查1?下|查询|证据",
        r"\bdetails?\b|\btell\s+me\b|\bshow\b|\binformation\b|\bwhat\s+about\b|\bwhat(?:'s|\s+is)\b"
        r"|\bdescribe\b|\bhow\s+(?:big|large)\b|\bwhere\b|\blook\b|\bmore\s+about\b|\bhappened\b"
        r"|\bstatus\b|\bsituation\b",
    ),
    # kinds of result
    "matrix": (
        r"转移(?:矩阵|情况|表|概率)|流转矩阵|转换矩阵|互相转|相互转|地类(?:之间)?(?:怎么)?(?:转|流转"
        r"|互转)|什么变成了?什么|啥变(?:成)?啥|哪些(?:地类|土地)(?:发生)?(?:了)?(?:变|转)|地类变(?:化|更"
        r"|动)|从什么变",
        r"\b(?:transition|conversion|change|transfer|confusion\s+of\s+classes|cross)[\s-]*(?:matrix|table"
        r"|tabulation)|\bwhat\s+(?:turned|changed|converted)\s+in?to\s+what\b|\bfrom[\s-]to\b"
        r"|\bwhich\s+(?:land\s+)?(?:types?|classes|covers?|uses?)\s+(?:have\s+|has\s+)?(?:changed"
        r"|been\s+converted)"
        r"|\bland\s+(?:cover|use|class)\s+changes?\b|\bbetween\s+(?:land\s+)?classes\b"
        r"|\bwhat\s+(?:land\s+)?(?:types?|classes|covers?)\s+(?:have\s+|has\s+)?changed",
    ),
    "structure": (
        r"结构|格局|土地利用",
        r"\bstructure\b|\bland[\s-]use\s+(?:pattern|mix)|\bland[\s-]use\b|\bland\s+cover\s+(?:structure"
        r"|pattern|mix)",
    ),
    "share": (
        r"占比|覆盖率|比例|比重|份额|构成|百分(?:之几|比)|百分之多少|各占|占全县|占总|占(?:了)?(?:多少"
        r"|几成)(?!亩|公顷|耕|地|林|农)|几成",
        r"\bshares?\b|\bproportions?\b|\bpercent(?:age)?s?\b|\bper\s+cent\b|\bbreakdown\b"
        r"|\bcompositions?\b|\bfraction\b|\bwhat\s+part\s+of\b|\bhow\s+is\b.{0,30}\bmade\s+up",
    ),
    "trend": (
        r"趋势|走势|历年|逐年|历史(?:变化|上)|曲线|这些年|1?年比1?年|一年比一年|1年1年|连年|时间序列|演变"
        r"|越来越|每年(?:的)?(?:变化|多少|扩|增|减)?|一路|年年|多年(?:来)?变化|变化过程",
        r"\btrends?\b|\bover\s+(?:the\s+)?(?:years|time)\b|\byear\s+by\s+year\b|\btime\s+series\b"
        r"|\bevol(?:ved?|ution|ving)\b|\bevery\s+year\b|\bhistor(?:y|ical)\b|\btrajectory\b"
        r"|\bhow\s+(?:fast\s+)?has\b.{0,40}\b(?:developed|grown|changed|expanded"
        r"|evolved)\b.{0,20}\b(?:years|since)|\bannually\b|\beach\s+year\b",
    ),
    "rate": (
        r"动态度|速度|变化速率|年均(?:变化|增|减)(?:率|速)?|变化率|年变化率|增长率|减少率|增速",
        r"\bdynamic\s+degree|\bdynamics?\s+index|\b(?:annual|yearly)\s+(?:change\s+)?rate"
        r"|\brate\s+of\s+(?:change|loss|growth|expansion)|\bchange\s+rate"
        r"|\bhow\s+fast\b|\bdegree\s+of\s+(?:land[\s-]use\s+)?(?:dynamics?|change)|\bgrowth\s+rate"
        r"|\bland[\s-]use\s+dynamics?\b",
    ),
    "which_year": (
        r"[哪那](?:1|一)?(?:个)?年|[哪那]几?(?:个)?(?:时段|时期|阶段|季度)|什么年份|哪年",
        r"\b(?:which|what|in\s+which|in\s+what)\s+(?:year|period|interval|quarter)\b",
    ),
    "which_side": (
        r"哪(?:1|一)?(?:个|段|年|边|者|种|期|家|类|样)|还是|谁|孰",
        r"\bwhich\b|\bor\b|\beither\b|\bthan\b|\bversus\b|\bvs\b",
    ),
    "more": (
        r"更(?:多|快|大|严重|少|慢|明显|厉害|猛)|多(?:吗|么|不多|还是少)|比.{0,20}(?:多|快|大|少|慢|猛|高"
        r"|低|厉害|凶)|快(?:吗|还是|些|1?点|[?。,]|$)|多(?:些|1?点)吗?|相比|对比|比较|pk|较.{0,6}(?:多|快"
        r"|大|少)|差多少|高还是低",
        r"\b(?:more|faster|larger|greater|less|fewer|slower|bigger|higher|quicker|worse|lower|smaller)\b"
        r"|\bcompar\w+|\bversus\b|\bvs\b|\bdifference\s+between\b",
    ),
    "most": (
        r"最(?:多|大|快|严重|少|小|慢|高|低|厉害|凶|猛|集中|突出|明显|狠|密集)|排名|排行|排序|排1?下|前□+"
        r"|第1|第一|名列|榜|倒数|前几|(?:哪|谁)[^,。?!]{0,14}(?:多|(?<!多)少|快|大|凶|狠|严重|厉害)[?。]?$",
        r"\b(?:most|largest|biggest|fastest|worst|highest|greatest|least|smallest|fewest|lowest|slowest"
        r"|heaviest)\b|\brank\w*|\btop\b|\bbottom\b|\bleading\b|\bsort\w*",
    ),
    "least": (
        r"最(?:少|小|慢|低)|倒数|末位|垫底|从小到大|升序",
        r"\b(?:least|smallest|fewest|lowest|slowest|bottom|ascending)\b",
    ),
    "count": (
        r"(?:多少|几)(?:个|处|块|宗|条|片)|数量|个数|数目|(?:图斑|线索|点)(?:有)?多少(?!亩|公顷|面积)"
        r"|多少(?:图斑|线索|疑似)|数1?下|有几",
        r"\bhow\s+many\b(?!\s+(?:hectares?|ha|mu|acres?|square|sq|km))|\bnumber\s+of\b|\bcounts?\b|\btotal\s+patches",
    ),
    "patch": (
        r"图斑|疑似点|斑块|线索|变化点|变化地块|地块|可疑|疑似",
        r"\bpatch(?:es)?\b|\bclues?\b|\balerts?\b|\bspots?\b|\bsuspect\w*|\bsuspicious\b|\bsites?\b"
        r"|\bparcels?\b|\bfinds?\b|\bhotspots?\b|\bpolygons?\b",
    ),
    "illegal": (
        r"违规|违法|违建|违章|乱占|乱建|乱盖|乱搭|乱挖|乱倒|乱堆|私建|私搭|偷建|偷挖|盗采|未批先建"
        r"|(?:未经?|没有?)(?:经过?)?(?:批准|审批|报批)|没批|没手续|没有手续|大棚房|擅自|疑似|非法|违反规定|非农化|四乱|偷偷",
        r"\bsuspect\w*|\billegal\w*|\bunauthori[sz]ed|\bunlicen[sc]ed|\bwithout\s+(?:a\s+)?(?:permit"
        r"|permission|approval)|\bunpermitted|\bunlawful\w*|\birregular\b|\bviolations?\b|\brogue\b"
        r"|\bsneak\w*",
    ),
    "exists": (
        r"有没有|是否(?:存在|有)|有无|有(?!没有)[^,。?!]{0,12}[吗么嘛没](?:有)?|存不存在"
        r"|存在.{0,12}[吗么]|在不在|有几|还有没有|出没出现|有木有|有谁|有人",
        r"\b(?:is|are|was|were)\s+there\b|\bany\b|\bdo(?:es)?\b.{0,30}\b(?:have|exist|contain|show)\b"
        r"|\bexist\w*|\bany(?:one|body)\b|\bhas\s+.{0,30}\b(?:happened|been)\b|\bdid\s+(?:anyone|anybody|somebody|someone)",
    ),
    # somebody is at it, rather than something stands there
    "building": (
        r"(?:有人|谁|搞|正在|偷偷|大肆)[^,。?!]{0,6}(?:建|盖|搭)|施工|动工|开工|在建",
        r"\b(?:any|some)(?:one|body)\b.{0,20}\b(?:build|construct|erect)\w*|\bbeing\s+(?:built|constructed|erected)\b"
        r"|\bunder\s+construction\b|\bbuilding\s+(?:activit\w+|going\s+on)|\bconstruction\s+(?:activit\w+|going\s+on)"
        r"|\bpeople\s+(?:are\s+)?(?:build|construct)\w*|\bputting\s+up\b",
    ),
    # what is to be left out, and what did not change: hardly any query holds it
    "excluded": (
        r"不含|不包括|不包含|不计(?!划)|不算(?!数|违)|除了|除去|除开|扣除|扣掉|抛开|刨去|撇开|剔除|排除|除[^,。?!;]{1,12}?外"
        r"|以外|之外|除外",
        r"\bnot\s+(?:counting|including)\b|\bexclud\w+|\bexcept\b|\bother\s+than\b|\bapart\s+from\b|\baside\s+from\b"
        r"|\bbesides\b|\bleav\w+\s+out\b|\bdisregarding\b|\bbut\s+not\b|\bwithout\s+counting\b",
    ),
    "unchanged": (
        r"(?<!有)(?:没有?|未)(?:发生)?(?:过)?(?:任何)?(?:变化?|变动|改变)过?的|不变的|(?:保持|一直)[^,。?!]{0,4}不变"
        r"|(?<!有)(?:没有?|未)被?[^,。?!有]{0,6}[转变改占][^,。?!]{0,10}的",
        r"\bunchanged\b|\bremained\b|\b(?:did|do|does|has|have)(?:\s+not|n't)\s+chang\w+|\bnot\s+changed?\b"
        r"|\b(?:not|never)\s+(?:been\s+|being\s+)?(?:convert|turn|becom|chang|built\s+on|develop|tak)\w*|\bstayed\s+(?:the\s+same|as)",
    ),
    "encroach": (
        r"侵占|侵入|侵犯|越界|越线|出界|压占|占用|占掉|占了|被占|挤占|蚕食|破坏|占没占|乱占|乱建|踩线"
        r"|碰线|突破|动过|被动了|被挖|闯|受影响|安全|四乱|干扰|人类活动|非法占|守住|踩|碰(?!巧|到)|动静"
        r"|异动|动没动",
        r"\bencroach\w*|\bintru\w*|\binvad\w*|\boccup\w*|\boverlap\w*|\b(?:was|were|been|is|being)\s+taken\b|\btaken\s+(?:up|over)\b|\btrespass\w*|\bviolat\w*"
        r"|\bbreach\w*|\bdisturb\w*|\btouch\w*|\bintact\b|\beat\w*\s+into\b|\bsafe\b|\b(?:is|are|still|all)\b.{0,40}\bok(?:ay)?\b"
        r"|\ball\s+right\b|\buntouched\b|\bbeyond\s+(?:its|the|their)\s+(?:boundar|limit|licen)"
        r"|\bcross\w*|\bexceed\w*|\bdamag\w*|\bwithin\s+(?:its|their)\s+(?:boundar|limit|licen)"
        r"|\binterfer\w*",
    ),
    "human": (r"人类活动|人为活动|人为干扰|人工", r"\bhuman\s+(?:activit\w+|disturbance|footprint|impact)"),
    "amount": (
        r"多少|面积|多大|几亩|多少亩|有多|总量|规模|数额|总共|一共",
        r"\bhow\s+(?:much|large|big|many\s+(?:hectares?|ha|mu|acres?|sq\w*))\b|\barea\b|\bsize\b"
        r"|\bextent\b|\btotal\b|\bamount\b|\bhectares?\b",
    ),
    # directions
    "gain": (
        r"新增|增加|增长|增多|增(?!减)|大了|变大|宽了|高了|流入|转入|补充|补了|多了|多出|多(?:少)?出来"
        r"|扩(?:张|大|展|了|建)?|新建|新盖|新开|开垦|复垦|造林|变多|长了|涨|(?<!人)新(?:的|修|造|起|搭|挖"
        r"|添)|盖了|盖(?:房|楼|的)|建的|修的|建了|建房|建楼|修了|建起|冒出|开荒|种了|恢复了?|乱[盖建]"
        r"|来自|来源|哪来|从哪|从(?:啥|什么)|变来|起了|起(?:新|楼|房)",
        r"\bgain\w*|\bnew(?:ly)?\b|\badd(?:ed|ition\w*)\b|\bincreas\w*|\bgr[eo]w\w*|\bexpan\w*|\bextra\b"
        r"|\binflow|\bsprawl\w*|\brisen?\b|\brose\b|\bspread\w*|\bcame\s+from|\bcome\s+from|\breclaimed"
        r"|\bplanted|\bbuilt\s+(?:since|in|over|this|last)|\bappeared|\bbuild\b|\bput\s+up\b|\berected\b"
        r"|\b(?:was|were|been)\s+built\b"
        r"|\bgone\s+up|\bwent\s+up|\badding",
    ),
    "loss": (
        r"减少|减(?!.{0,2}变化)|小了|变小|窄了|低了|流失|流出|转出|被占|(?<!多)少了|丢了?|没了|不见|消失|缩(?:小"
        r"|减|水)?|损失|砍(?:了|掉|伐)?|毁(?:了|掉|坏)?|萎缩|退化|变少|占了?多少|吃掉|占掉|占用|去向|去哪"
        r"|下降|变没|流走|退了|失去|淹|掉[了得]|跌|往下|滑坡|丢得|少得|砍|被什么|变成了?(?:什么|啥)|退出",
        r"\blos[est]\w*|\bdecreas\w*|\bdeclin\w*|\bshr[aiu]nk\w*|\bdisappear\w*|\bless\b|\bdeforest\w*"
        r"|\boutflow|\breduc\w*|\bdrop(?:ped)?\b|\bfewer\b|\bvanish\w*|\bgone(?!\s+up)\b|\bcleared\b"
        r"|\bfell\b|\bfallen\b|\bcut\s+(?:down)?|\bwhere\s+did\b.{0,30}\bgo\b|\bwent\s+down"
        r"|\bbecame\s+what|\beaten\b|\bconvert\w+\s+(?:away|in?to\s+what)|\bshrinking",
    ),
    "net": (
        r"净|增减|增加还是减少|多了还是少了|是多了?还是少|涨了?还是|变多还是|占补|抵消|收支|有增有减|是增是减|是升是降",
        r"\bnet\b|\bbalance\b|\bmore\s+or\s+less\b|\bup\s+or\s+down\b|\bincreas\w+\s+or\s+decreas\w+"
        r"|\bgrow\w*\s+or\s+shr\w+|\bgain\w*\s+or\s+los\w+",
    ),
    "change": (
        r"变化|变动|变了|变(?:没变|不变|成|样|多|少)|改变|动了|动态|怎么变|咋变|有变",
        r"\bchang\w*|\bdifferent\b|\bdevelop(?:ed|ing)\b|\bdynamics?\b|\bhappened\b|\bevolv\w*|\balter\w*",
    ),
    "sprawl": (
        r"扩[张得了]|外扩|摊大饼|盖楼|发展(?:得)?(?:更|最)?快",
        r"\bexpan\w+|\bgrowing\b|\bsprawl\w*|\bbuilding\s+boom|\burbani[sz]\w+",
    ),
    "turned": (
        r"转为|转成|变为|变成|转变|改成|改为|转换|转化|变做|转到",
        r"\bconver\w+|\bturned\b|\bbecame\b|\bbecome\b|\btransform\w*|\btransition\w*",
    ),
    "breakdown": (
        r"来源|去向|去哪|流向|来自哪|从哪|从(?:啥|什么)|变来|哪来|被什么|被啥|(?:让|被)谁|谁.{0,3}占|(?:原来?|以前|之前|原先"
        r"|先前)(?:都)?是(?:些)?(?:什么|啥|哪)|变成了?(?:什么|啥)|转成了?(?:什么|啥)|转(?:为"
        r"|到)了?(?:什么|啥|哪)|都变成|哪些地类|什么地类|哪种地|组成|主要来自|占的(?:是)?(?:什么|啥)",
        r"\bcome\s+from|\bcame\s+from|\bsources?\b|\bwhere\s+did\b|\bwent\s+where|\bbecame\s+what"
        r"|\bin?to\s+what\b|\bbroken\s+down|\bwhich\s+(?:land\s+)?(?:classes|types|covers?|uses)"
        r"|\bwhat\s+(?:was|were)\s+(?:it|they)\s+before|\bwhat\s+.{0,12}replaced|\bwhat\s+.{0,25}bec(?:a"
        r"|o)me\b|\bwhat\s+kinds?\s+of\s+land",
    ),
    "area_of": (
        r"总面积|总量|保有量|存量|现有|还有(?:多少|剩)|还剩|剩(?:下)?多少|家底",
        r"\btotal\s+area|\bhow\s+much\b.{0,30}\b(?:is\s+there|do\s+we\s+have|remains?|left|is\s+left"
        r"|exists?)\b",
    ),
    "land_word": (
        r"(?:少|丢|没|占|毁|减)(?:了|掉|少了?)?(?:多少|好多|几)(?:亩|公顷)?的?地(?!方|类|块|点|区)"
        r"|多少(?:亩)?地(?!方|类|块|点|区)被?(?:占|丢|没|少|减)|地(?:少|多)了",
        r"\bhow\s+much\s+land\s+(?:did\s+we|have\s+we|was|has\s+been)?\s*(?:los|gone)\w*",
    ),
    "reverse": (
        r"反过来|倒过来|反向|反之|相反(?:方向)?",
        r"\bother\s+way\s+(?:a?round)?|\brevers\w*|\bvice\s+versa|\bopposite\b|\bthe\s+other\s+direction",
    ),
}
CUES: Mapping[str, re.Pattern[str]] = {name: re.compile(f"{zh}|{en}") for name, (zh, en) in _CUES.items()}


def cues_of(text: str) -> frozenset[str]:
    """Names of the cues that a text holds."""
    return frozenset(name for name, pattern in CUES.items() if pattern.search(text))


def without_orders(text: str) -> str:
    """The text without attempts to give orders to the system; what is left is read as any question."""
    return _ORDERS.sub(" ", text).strip()
