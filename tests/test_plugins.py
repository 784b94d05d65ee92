"""A broken plugin is reported by name; the rest keeps working."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from harness import hookimpl, plugins
from harness.errors import PluginError


@pytest.fixture
def plugin(monkeypatch):
    """Return a function that makes a plugin, as an entry point, of hooks by name."""

    def make(name, **hooks):
        module = ModuleType(f"{name}_module")
        for hook, offered in hooks.items():
            setattr(module, hook, hookimpl(lambda offered=offered: offered, specname=None))
            getattr(module, hook).__name__ = hook
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, plugins.GROUP)

    return make


def offered(registry, kind="models"):
    return {name for name in registry.offered(kind) if name != "constant"}


def test_what_all_offer_is_merged(plugin):
    one = plugin("one", harness_models=lambda: None or {})
    del one
    found = plugins.load(
        [
            plugin("a", harness_models={"x": "a:X"}, harness_datasets={"d": "a:D"}),
            plugin("b", harness_models={"y": "b:Y"}),
        ]
    )
    assert offered(found) == {"x", "y"}
    assert found.problems == []
    assert found.owner("models", "y").name == "b"
    assert [p.name for p in found.plugins] == ["harness", "a", "b"]


def test_a_misspelt_hook_is_reported_and_the_rest_works(plugin):
    found = plugins.load(
        [plugin("wrong", harness_modles={"x": "a:X"}), plugin("right", harness_models={"y": "b:Y"})]
    )
    assert offered(found) == {"y"}
    (problem,) = found.problems
    assert "plugin wrong" in problem
    assert "harness_modles" in problem


def test_a_name_offered_twice_is_nobodys(plugin):
    found = plugins.load(
        [
            plugin("a", harness_models={"x": "a:X", "z": "a:Z"}),
            plugin("b", harness_models={"x": "b:X"}, harness_datasets={"z": "b:Z"}),
        ]
    )
    assert offered(found) == {"z"}
    (problem,) = found.problems
    assert problem == "the model 'x' is offered by a_module and by b_module: remove one"
    with pytest.raises(PluginError, match="the model 'x' is offered by a_module and by b_module"):
        found.resolve("models", "x")


def test_a_name_of_the_harness_is_not_taken_over(plugin):
    found = plugins.load([plugin("a", harness_models={"constant": "a:X"})])
    assert "constant" not in found.offered("models")
    assert "by cxr-harness and by a_module" in found.problems[0]


@pytest.mark.parametrize("trouble", ["raise ImportError('no gpu library')", "1 / 0", "def"])
def test_a_plugin_that_cannot_be_imported(trouble, plugin, tmp_path, monkeypatch):
    (tmp_path / "broken_plugin.py").write_text(trouble)
    monkeypatch.syspath_prepend(str(tmp_path))
    broken = EntryPoint("broken", "broken_plugin", plugins.GROUP)
    found = plugins.load([broken, plugin("right", harness_models={"y": "b:Y"})])
    assert offered(found) == {"y"}
    (problem,) = found.problems
    assert problem.startswith("plugin broken (broken_plugin) cannot be imported: ")


@pytest.mark.parametrize("answer", [["x"], 3, "x"])
def test_an_answer_that_is_no_mapping(answer, plugin):
    found = plugins.load([plugin("odd", harness_models=answer)])
    assert offered(found) == set()
    assert "plugin odd (odd_module) is broken" in found.problems[0]


def test_a_reference_that_leads_nowhere(plugin):
    found = plugins.load([plugin("a", harness_models={"x": "harness.errors:Nothing"})])
    with pytest.raises(
        PluginError, match=r"'x' of a_module cannot be loaded \(harness.errors:Noth"
    ):
        found.resolve("models", "x")
    assert plugins.load([]).resolve("models", "constant").__name__ == "Constant"


def test_a_model_whose_module_is_broken(plugin, tmp_path, monkeypatch):
    (tmp_path / "half_done.py").write_text("def")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = plugins.load([plugin("a", harness_models={"x": "half_done:X"})])
    with pytest.raises(PluginError, match="'x' of a_module cannot be loaded"):
        found.resolve("models", "x")


def test_an_unknown_name_comes_with_suggestions_and_troubles(plugin):
    found = plugins.load([plugin("a", harness_models={"resnet": "a:X"}), plugin("b", harness_x={})])
    with pytest.raises(PluginError) as said:
        found.resolve("models", "resnt")
    assert "no plugin offers a model named 'resnt': did you mean resnet?" in str(said.value)
    assert "plugin b" in str(said.value)
    with pytest.raises(PluginError, match="there are constant, resnet"):
        found.resolve("models", "zzz")


def test_only_the_chosen_plugins_are_loaded(plugin, monkeypatch):
    entries = [plugin(name, harness_models={f"{name}-model": "a:X"}) for name in "abc"]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries)
    for text, names in (
        ("a,c", {"a-model", "c-model"}),
        ("", set()),
        (None, {f"{n}-model" for n in "abc"}),
    ):
        plugins.registry.cache_clear()
        if text is None:
            monkeypatch.delenv("HARNESS_PLUGINS")
        else:
            monkeypatch.setenv("HARNESS_PLUGINS", text)
        assert offered(plugins.registry()) == names
    plugins.registry.cache_clear()
