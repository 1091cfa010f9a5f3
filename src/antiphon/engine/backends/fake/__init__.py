"""An engine without a model: deterministic, scriptable, quick to start.

For tests, for documentation, and for people who test clients of this API. `FakeEngine` keeps every
promise of `core.ports.Engine`; what it says is either improvised (a function of prompt and seed)
or told by a `Script`, of which `QueuedScripts` holds several. `FakeTokenizer` and `FakeChatTemplate`
complete it to a whole model.
"""

from antiphon.engine.backends.fake.engine import FakeEngine
from antiphon.engine.backends.fake.language import FakeChatTemplate, FakeTokenizer
from antiphon.engine.backends.fake.script import QueuedScripts, Script, ScriptSource, improvise, refuse, say

__all__ = [
    "FakeChatTemplate",
    "FakeEngine",
    "FakeTokenizer",
    "QueuedScripts",
    "Script",
    "ScriptSource",
    "fake_parts",
    "improvise",
    "refuse",
    "say",
]


def fake_parts(script: ScriptSource = improvise) -> tuple[FakeEngine, FakeTokenizer, FakeChatTemplate]:
    """Everything a server needs to run without a model."""
    return FakeEngine(script), FakeTokenizer(), FakeChatTemplate()
