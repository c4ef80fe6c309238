"""The components of the page that handlers read or change, and their labels in both languages."""

from dataclasses import dataclass, field, fields
from typing import Any

import gradio as gr

from src.serve.texts import Lang, say


@dataclass
class Labels:
    """Which property of which component shows which text; filled while the page is built."""

    lang: Lang
    rows: list[tuple[Any, dict[str, str]]] = field(default_factory=list)

    def put(self, kind: Any, keys: dict[str, str], **properties: Any) -> Any:
        """Make a component with its texts, and remember them for the language switch.

        Args:
            kind: class of the component.
            keys: property of the component -> key of TEXT.
            properties: all other properties.
        """
        made = kind(**{name: say(key, self.lang) for name, key in keys.items()}, **properties)
        self.rows.append((made, keys))
        return made

    def updates(self, lang: Lang) -> dict[Any, Any]:
        """The texts in a language, by component."""
        texts: list[tuple[Any, dict[str, Any]]] = [
            (one, {name: say(key, lang) for name, key in keys.items()}) for one, keys in self.rows
        ]
        return {one: gr.update(**said) for one, said in texts}


@dataclass(frozen=True)
class Parts:
    """Components by what they show."""

    lang: Any
    header: Any
    status: Any
    # conversation
    chat: Any
    live: Any
    box: Any
    stop: Any
    retry: Any
    new: Any
    thumbs: Any
    quick: tuple[Any, ...]
    mode: Any
    temperature: Any
    max_tokens: Any
    top_p: Any
    penalty: Any
    system: Any
    # data
    which: Any
    files: Any
    base: Any
    add: Any
    data_log: Any
    form: Any
    form_title: Any
    form_choices: tuple[Any, ...]
    form_texts: tuple[Any, ...]
    form_go: Any
    form_skip: Any
    pending: Any
    # evidence
    picker: Any
    head: Any
    map: Any
    slider: Any
    tables: Any
    sources: Any
    basis: Any
    exports: tuple[Any, ...]
    download: Any
    # review
    patch: Any
    state: Any
    reason: Any
    note: Any
    save: Any
    queue: Any
    audit: Any
    labels: Labels = field(default_factory=lambda: Labels("zh"))

    def settings(self) -> list[Any]:
        """Inputs of every question, in the order of ``handlers.Asking``."""
        return [
            *(self.lang, self.which, self.mode, self.temperature, self.max_tokens),
            *(self.top_p, self.penalty, self.system),
        ]

    def talk(self) -> list[Any]:
        """What a question changes."""
        return [self.chat, self.live, self.box, self.stop, self.thumbs]

    def shown(self) -> list[Any]:
        """What shows the evidence of an answer."""
        return [
            *(self.picker, self.head, self.map, self.slider, self.tables, self.sources, self.basis),
            *(self.patch, self.queue, self.audit, self.download),
        ]

    def all(self) -> list[Any]:
        """Every component."""
        found: list[Any] = []
        for one in fields(self):
            value = getattr(self, one.name)
            found += list(value) if isinstance(value, tuple) else [] if isinstance(value, Labels) else [value]
        return [*found, *(one for one, _ in self.labels.rows if not any(one is known for known in found))]
