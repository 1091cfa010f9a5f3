"""An engine without a model: deterministic, scriptable, quick to start.

For tests, for documentation, and for people who test clients of this API. `FakeEngine` keeps every
promise of `core.ports.Engine`; what it says is either improvised (a function of prompt and seed)
or told by a `Script`. `FakeTokenizer` and `FakeChatTemplate` complete it to a whole model.
"""

from antiphon.engine.backends.fake.engine import FakeEngine
from antiphon.engine.backends.fake.language import FakeChatTemplate, FakeTokenizer
from antiphon.engine.backends.fake.script import Script, improvise, say

__all__ = ["FakeChatTemplate", "FakeEngine", "FakeTokenizer", "Script", "fake_parts", "improvise", "say"]


def fake_parts() -> tuple[FakeEngine, FakeTokenizer, FakeChatTemplate]:
    """Everything a server needs to run without a model."""
    return FakeEngine(), FakeTokenizer(), FakeChatTemplate()
