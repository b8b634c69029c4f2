"""Documents do not drift: the configuration page names every key with its default, and links lead somewhere."""

import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.config import Config, load_config

HOME = Path(__file__).resolve().parents[1]
SKIPPED = {".venv", ".git", "build", "node_modules"}
PAGES = sorted(
    path for path in HOME.rglob("*.md") if not SKIPPED.intersection(path.relative_to(HOME).parts[:-1])
)  # fmt: skip
CONFIGURATION = (HOME / "docs" / "configuration.md").read_text()
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def _tables() -> dict[str, dict[str, str]]:
    """{section: {key: default as written}} of the configuration page."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^## ", CONFIGURATION, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]*?) \| \S[^|]* \|$", body, re.MULTILINE)
        name = title.strip("`[]") if title.startswith("`[") else ""
        assert name not in found, f"two sections for {title}"
        assert len(rows) == len(dict(rows)), f"a key of {title} stands there twice"
        found[name] = dict(rows)
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model of a key that is a section."""
    many = isinstance(annotation, UnionType) or get_origin(annotation) is list
    kinds = get_args(annotation) if many else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


SECTIONS: dict[str, type[BaseModel]] = {
    "": Config, **{name: model for name, f in Config.model_fields.items() if (model := _section(f.annotation))}
}  # fmt: skip


def _written(section: str, name: str) -> Any:
    """A default as the page gives it."""
    cell = _tables()[section][name]
    if cell in ("*required*", "*unset*", "section"):
        return {"*required*": PydanticUndefined, "*unset*": None}.get(cell, cell)
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def test_the_page_has_exactly_the_sections_and_keys_that_there_are() -> None:
    assert {name: set(rows) for name, rows in _tables().items()} == {
        name: set(model.model_fields) for name, model in SECTIONS.items()
    }


@pytest.mark.parametrize(("section", "model"), SECTIONS.items(), ids=lambda x: x if isinstance(x, str) else "")
def test_the_page_gives_every_default(section: str, model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        default = "section" if isinstance(field.default, BaseModel) else field.default
        written = _written(section, name)
        assert (type(written), written) == (type(default), default) or (
            isinstance(default, int) and field.annotation is float and written == default
        ), f"[{section}] {name}: the page says {written!r}, the program has {default!r}"


def test_the_examples_of_the_page_are_accepted(tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", CONFIGURATION, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        file = tmp_path / "gateway.toml"
        file.write_text(example)
        assert load_config(file).origin == "plant-7.example/line-3"


def _anchors(page: Path) -> set[str]:
    """Names of a page's headings as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_pages() -> None:
    assert {"README.md", "docs/threat-model.md", "docs/formats/receipt.md"} <= {
        page.relative_to(HOME).as_posix() for page in PAGES
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(HOME).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, heading = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{page.name} links to {target}, which is not there"
        assert file.is_relative_to(HOME), f"{page.name} links to {target}, outside of the repository"
        if heading:
            assert heading in _anchors(file), f"{page.name} links to {target}, but there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(HOME).as_posix())
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    """`tests/…/test_x.py` and `tests/…/test_x.py::test_name`, wherever a page says that a test shows something."""
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
        assert (HOME / path).is_file(), f"{page.name} names {path}, which is not there"
        if name:
            found = re.search(rf"^(async )?def {name}\(", (HOME / path).read_text(), re.MULTILINE)
            assert found, f"{page.name} names {name} of {path}, which is not there"
