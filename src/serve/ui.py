"""The page: layout, labels, and which handler answers which event.

    page = build_page(context)
    gr.mount_gradio_app(app, page, path="", **page_options())

Two columns from 1280 px on (conversation, evidence), one below that. Nothing is
loaded from another host: fonts are those of the system, script and style are
files of this package.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from src.assistant.review import CAUSES, STATES
from src.serve.context import PageContext
from src.serve.data_panel import SLOTS, DataPanel, Pending
from src.serve.handlers import Desk, Talk, Updates
from src.serve.panel import EXPORTS, Panel
from src.serve.parts import Labels, Parts
from src.serve.quick import MOST
from src.serve.texts import Lang, say
from src.serve.uploads import PICTURES, VIDEOS
from src.serve.view import header

_HERE = Path(__file__).parent
# One script in this order; neither runs alone.
_MAP_SCRIPTS = ("table.js", "map.js")
_STATUS_S = 5.0
_FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
# Starts the download that was just made; the link stays for those whose browser asks first.
_CLICK_DOWNLOAD = "() => setTimeout(() => document.querySelector('button#download, a#download')?.click(), 300)"


def page_options() -> dict[str, Any]:
    """Theme and style, for ``gr.mount_gradio_app`` or ``launch``."""
    theme = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        text_size="sm",
        spacing_size="sm",
        radius_size="sm",
        font=list(_FONTS),
        font_mono=["ui-monospace", "monospace"],
    )
    return {"theme": theme, "css_paths": [_HERE / "static" / "style.css"]}


def build_page(context: PageContext) -> gr.Blocks:
    """The whole page with its events.

    Args:
        context: options, model, county and sessions; may still load.
    """
    labels = Labels(context.lang)
    with gr.Blocks(title=say("title", context.lang), analytics_enabled=False, fill_width=True) as page:
        found: dict[str, Any] = {"labels": labels}
        with gr.Row(elem_id="top"):
            found["header"] = gr.HTML(header(context.lang), elem_id="header")
            found["lang"] = labels.put(
                gr.Radio,
                {"label": "language"},
                choices=[("中文", "zh"), ("English", "en")],
                value=context.lang,
                elem_id="language",
                container=False,
                scale=0,
            )
        found["status"] = gr.HTML(elem_id="status")
        with gr.Row(elem_id="main", equal_height=False):
            with gr.Column(elem_id="left"):
                found |= _conversation(labels) | _data(labels, context) | _expert(labels, context)
            with gr.Column(elem_id="right"):
                found |= _evidence(labels)
        parts = Parts(**found)
        desk = Desk(context)
        _wire_talk(desk, parts, page)
        _wire_panel(desk, parts)
        _wire_data(desk, parts, page)
    return page


def _conversation(labels: Labels) -> dict[str, Any]:
    """Chat, live block, input, buttons, common questions."""
    chat = labels.put(
        gr.Chatbot,
        {"label": "chat", "placeholder": "chat_empty"},
        height=420,
        elem_id="chat",
        buttons=["copy"],
        layout="bubble",
        feedback_options=None,
        allow_tags=False,
        latex_delimiters=[],
    )
    live = gr.HTML(elem_id="live")
    box = labels.put(
        gr.MultimodalTextbox,
        {"label": "box", "placeholder": "box_hint"},
        show_label=False,
        file_types=[*PICTURES, *VIDEOS],
        file_count="multiple",
        sources=["upload"],
        lines=1,
        max_lines=6,
        max_plain_text_length=4000,
        elem_id="box",
        autofocus=True,
    )
    with gr.Row(elem_id="buttons"):
        stop = labels.put(gr.Button, {"value": "stop"}, variant="stop", size="sm", interactive=False, elem_id="stop")
        retry = labels.put(gr.Button, {"value": "retry"}, size="sm", elem_id="retry")
        new = labels.put(gr.Button, {"value": "new"}, size="sm", elem_id="new")
    with gr.Row(elem_id="quick"):
        quick = tuple(
            gr.Button("", size="sm", visible=False, elem_classes=["quick"], elem_id=f"quick-{index}")
            for index in range(MOST)
        )
    thumbs = labels.put(
        gr.Gallery,
        {"label": "thumbs"},
        columns=6,
        height=96,
        visible=False,
        interactive=False,
        object_fit="cover",
        elem_id="thumbs",
        buttons=[],
    )
    return {
        **{"chat": chat, "live": live, "box": box, "stop": stop, "retry": retry, "new": new},
        **{"quick": quick, "thumbs": thumbs},
    }


def _data(labels: Labels, context: PageContext) -> dict[str, Any]:
    """Which data is used, uploads, and the form for what files do not tell."""
    found: dict[str, Any] = {}
    with labels.put(gr.Accordion, {"label": "data"}, open=False, elem_id="data"):
        found["which"] = labels.put(
            gr.Radio,
            {"label": "which"},
            choices=_choices("which", context.lang),
            value="shared",
            interactive=True,
            elem_id="which",
        )
        labels.put(gr.HTML, {"value": "data_note"}, elem_classes=["note"])
        found["files"] = labels.put(
            gr.File, {"label": "files"}, file_count="multiple", type="filepath", height=110, elem_id="files"
        )
        with gr.Row():
            found["base"] = labels.put(gr.Checkbox, {"label": "base"}, value=False, elem_id="base")
            found["add"] = labels.put(gr.Button, {"value": "add"}, size="sm", variant="primary", elem_id="add")
        found["data_log"] = gr.HTML(elem_id="data-log")
        with gr.Column(visible=False, elem_id="form") as found["form"]:
            found["form_title"] = gr.HTML()
            found["form_choices"] = tuple(gr.Radio(choices=[], visible=False) for _ in range(SLOTS))
            found["form_texts"] = tuple(gr.Textbox(visible=False) for _ in range(SLOTS))
            with gr.Row():
                found["form_go"] = labels.put(gr.Button, {"value": "continue"}, size="sm", variant="primary")
                found["form_skip"] = labels.put(gr.Button, {"value": "skip"}, size="sm")
        found["pending"] = gr.State(Pending())
    return found


def _expert(labels: Labels, context: PageContext) -> dict[str, Any]:
    """Settings that few need, folded away."""
    options = context.options
    with labels.put(gr.Accordion, {"label": "expert"}, open=False, elem_id="expert"):
        mode = labels.put(
            gr.Radio, {"label": "mode"}, choices=_choices("mode", context.lang), value="auto", elem_id="mode"
        )
        with gr.Row():
            temperature = labels.put(
                gr.Slider, {"label": "temperature"}, minimum=0, maximum=2, step=0.05, value=options.temperature
            )
            top_p = labels.put(gr.Slider, {"label": "top_p"}, minimum=0.05, maximum=1, step=0.05, value=1.0)
        with gr.Row():
            tokens = labels.put(
                gr.Slider, {"label": "max_tokens"}, minimum=16, maximum=4096, step=16, value=options.max_new_tokens
            )
            penalty = labels.put(
                gr.Slider, {"label": "penalty"}, minimum=1, maximum=2, step=0.05, value=options.repetition_penalty
            )
        system = labels.put(gr.Textbox, {"label": "system", "placeholder": "system_hint"}, lines=2, max_length=2000)
    return {
        **{"mode": mode, "temperature": temperature, "top_p": top_p},
        **{"max_tokens": tokens, "penalty": penalty, "system": system},
    }


def _evidence(labels: Labels) -> dict[str, Any]:
    """Cards, exports, and the tabs behind them."""
    found: dict[str, Any] = {}
    found["picker"] = labels.put(
        gr.Dropdown, {"label": "evidence_of"}, choices=[], visible=False, elem_id="picker", container=False
    )
    found["head"] = gr.HTML(f'<p class="nothing">{say("evidence_empty", labels.lang)}</p>', elem_id="head")
    with gr.Row(elem_id="exports"):
        labels.put(gr.HTML, {"value": "export"}, elem_classes=["note"])
        found["exports"] = tuple(
            gr.Button(name, size="sm", elem_id=f"export-{kind}", min_width=60) for kind, name in EXPORTS.items()
        )
        found["download"] = labels.put(
            gr.DownloadButton, {"label": "download"}, size="sm", visible=False, elem_id="download", variant="primary"
        )
    with gr.Tabs(elem_id="tabs"):
        with labels.put(gr.Tab, {"label": "tab_map"}, elem_id="tab-map"):
            found["map"] = gr.HTML(
                html_template='<div class="lm"></div>',
                js_on_load="\n".join((_HERE / "static" / name).read_text(encoding="utf-8") for name in _MAP_SCRIPTS),
                elem_id="map",
                apply_default_css=False,
            )
        with labels.put(gr.Tab, {"label": "tab_slider"}, elem_id="tab-slider"):
            found["slider"] = labels.put(
                gr.ImageSlider,
                {"label": "slider"},
                interactive=False,
                type="filepath",
                height=460,
                buttons=[],
                elem_id="slider",
            )
        for name in ("tables", "sources", "trace"):
            with labels.put(gr.Tab, {"label": f"tab_{name}"}, elem_id=f"tab-{name}"):
                found["basis" if name == "trace" else name] = gr.HTML(elem_id=name, elem_classes=["pane"])
        with labels.put(gr.Tab, {"label": "tab_review"}, elem_id="tab-review"):
            found |= _review(labels)
    return found


def _review(labels: Labels) -> dict[str, Any]:
    with gr.Row():
        patch = labels.put(gr.Dropdown, {"label": "review_patch"}, choices=[], elem_id="patch")
        state = labels.put(
            gr.Radio, {"label": "review_state"}, choices=_states(labels.lang), value=next(iter(STATES)), elem_id="state"
        )
    with gr.Row():
        reason = labels.put(
            gr.Dropdown, {"label": "review_reason"}, choices=_causes(labels.lang), value=None, elem_id="reason"
        )
        note = labels.put(gr.Textbox, {"label": "review_note"}, max_length=500, scale=2, elem_id="note")
        save = labels.put(
            gr.Button, {"value": "review_save"}, variant="primary", size="sm", scale=0, min_width=80, elem_id="save"
        )
    labels.put(gr.HTML, {"value": "review_queue"}, elem_classes=["note"])
    queue = gr.HTML(elem_id="queue", elem_classes=["pane"])
    with labels.put(gr.Accordion, {"label": "review_log"}, open=False, elem_id="audit-box"):
        audit = gr.HTML(elem_id="audit", elem_classes=["pane"])
    return {
        **{"patch": patch, "state": state, "reason": reason, "note": note, "save": save},
        **{"queue": queue, "audit": audit},
    }


def _choices(name: str, lang: Lang) -> list[tuple[str, str]]:
    values = {"which": ("shared", "own"), "mode": ("auto", "measure", "chat")}[name]
    return [(say(f"{name}_{value}", lang), value) for value in values]


def _states(lang: Lang) -> list[tuple[str, str]]:
    return [(names[lang], state) for state, names in STATES.items()]


def _causes(lang: Lang) -> list[tuple[str, str]]:
    return [(names[lang], cause) for cause, names in CAUSES.items()]


def _wire_talk(desk: Desk, parts: Parts, page: gr.Blocks) -> None:
    """Questions, stop, retry, new session."""
    talk, panel = Talk(desk, parts), Panel(desk, parts)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    asking: dict[str, Any] = quiet | {"outputs": parts.talk(), "concurrency_limit": None}
    settings = parts.settings()
    events = [
        parts.box.submit(talk.ask, [parts.box, *settings], **asking),
        parts.retry.click(talk.again, settings, **asking),
        *(button.click(talk.ask_text, [button, *settings], **asking) for button in parts.quick),
    ]
    for event in events:
        event.then(panel.newest, [parts.lang], parts.shown(), **quiet)
    # The browser cancels only once an event's own function has ended, so this event has none.
    stopped = parts.stop.click(None, cancels=events, api_visibility="private")
    stopped = stopped.then(talk.stopped, [parts.lang], parts.talk(), queue=False, **quiet)
    stopped.then(panel.newest, [parts.lang], parts.shown(), **quiet)
    new = parts.new.click(talk.new, [parts.lang], [*parts.talk(), parts.which], **quiet)
    new.then(panel.newest, [parts.lang], parts.shown(), **quiet)
    loaded = page.load(talk.load, [parts.lang], [*parts.talk(), parts.which], **quiet)
    loaded.then(panel.newest, [parts.lang], parts.shown(), **quiet)


def _wire_panel(desk: Desk, parts: Parts) -> None:
    """Choosing an answer, a patch, a review, an export."""
    panel = Panel(desk, parts)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    parts.picker.input(panel.chosen, [parts.picker, parts.lang], parts.shown(), **quiet)
    parts.map.pick(panel.picked, None, [parts.patch], **quiet)
    parts.save.click(
        panel.save,
        [parts.picker, parts.patch, parts.state, parts.reason, parts.note, parts.lang],
        [parts.note, parts.queue, parts.audit, parts.map, parts.slider],
        **quiet,
    )
    for kind, button in zip(EXPORTS, parts.exports, strict=True):
        made = button.click(
            panel.exporter(kind), [parts.picker, parts.lang], [parts.download], api_visibility="private"
        )
        made.success(None, None, None, js=_CLICK_DOWNLOAD, api_visibility="private")


def _wire_data(desk: Desk, parts: Parts, page: gr.Blocks) -> None:
    """Uploads, choice of data, status, language."""
    data, panel = DataPanel(desk, parts), Panel(desk, parts)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    status = [parts.status, *parts.quick]
    form = [parts.form, parts.form_title, *parts.form_choices, *parts.form_texts, parts.pending]
    after = [parts.data_log, parts.files, parts.which, *form, *status]
    parts.add.click(
        data.add,
        [parts.files, parts.base, parts.lang],
        after,
        show_progress="minimal",
        show_progress_on=parts.data_log,
        api_visibility="private",
    )
    filled = [*parts.form_choices, *parts.form_texts]
    parts.form_go.click(
        data.go_on,
        [parts.pending, parts.base, parts.lang, *filled],
        after,
        show_progress="minimal",
        show_progress_on=parts.data_log,
        api_visibility="private",
    )
    parts.form_skip.click(data.skip, [parts.pending, parts.lang], after, **quiet)
    parts.which.change(data.look, [parts.which, parts.lang], status, **quiet)
    page.load(data.look, [parts.which, parts.lang], status, **quiet)
    gr.Timer(_STATUS_S).tick(data.look, [parts.which, parts.lang], status, **quiet)

    async def switch(lang: Lang, which: str, pending: Pending, request: gr.Request) -> Updates:
        return await data.switch(lang, which, pending, choices_of(parts, lang), request)

    switched = parts.lang.change(switch, [parts.lang, parts.which, parts.pending], parts.all(), **quiet)
    switched.then(panel.relabelled, [parts.picker, parts.lang], parts.shown(), **quiet)


def choices_of(parts: Parts, lang: Lang) -> Updates:
    """The choices of radios and lists in a language."""
    return {
        parts.which: gr.update(choices=_choices("which", lang)),
        parts.mode: gr.update(choices=_choices("mode", lang)),
        parts.state: gr.update(choices=_states(lang)),
        parts.reason: gr.update(choices=_causes(lang)),
    }
