"""Question forms: title, examples and sentences of each metric. A form is added in its family's file."""

from src.assistant.forms import areas, changes, compare, history, patches, quality, ranking, words
from src.assistant.forms.base import Form
from src.assistant.query import METRICS

__all__ = ["FORMS", "Form"]

_FAMILIES = (areas, changes, patches, ranking, history, compare, quality, words)
_ALL: dict[str, Form] = {metric: form for family in _FAMILIES for metric, form in family.FORMS.items()}
# In the order of METRICS; a metric without a form fails here.
FORMS: dict[str, Form] = {metric: _ALL[metric] for metric in METRICS}
